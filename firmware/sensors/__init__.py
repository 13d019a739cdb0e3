"""Field sensors: one file a sensor, each with a class `Sensor` (tally/sensor.py says what that is).

Rules
* The setting `sensor` names the module, `sensor_args` holds the arguments of its class. Defaults stand in one
  block of constants a file.
* `Sensor(...)` touches no hardware: it raises TypeError or ValueError for arguments that make no sense, nothing
  else. Hardware is opened by the first `read`, and opened again after a failure.
* `read` raises nothing that a wire, a chip or a wrong pin can cause: what cannot be measured is None.
* A sensor may import `machine` for its own pins. Clock, radio and the agent's storage stay in tally/hal.py.
* Values are integers all the way: no floating point between the chip's register and the record.
"""
