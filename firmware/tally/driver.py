"""The start of an agent: sensor, link, watchdog. Loaded for it, and forgotten after it."""

from tally import hal, once, opening, unload
from tally.link import Link
from tally.sensor import SensorError, Watch

_LATE = ((1 << 40) - 1, bytes(32), 1 << 33)  # the longest head of a record
_BLANK = bytes(16)


def load(module, arguments):
    """The sensor that the module defines, made with these keyword arguments. Raises SensorError."""
    try:
        sensor = __import__(module, None, None, ("Sensor",)).Sensor(**arguments)
        channels = sensor.channels
        size = opening.size_of_open(
            _LATE, 1 << 31, "0.0.0", _BLANK, 0, _BLANK, channels, 65536, None, None
        )
    except Exception as error:  # a driver is anybody's code
        raise SensorError("no sensor %s: %r" % (module, error)) from None
    if size > opening.MAX_OPEN_BYTES:
        raise SensorError("the channels of %s are too many or too long" % module)
    return sensor


def start(agent):
    """Agent.start."""
    board = agent.board
    config = board.config
    try:
        agent.sensor = load(config["sensor"], config["sensor_args"])
    except SensorError as error:
        if agent.sensor_fault != str(error):
            board.log(str(error))
        agent.state, agent.sensor_fault = "no sensor", str(error)
        return False
    finally:
        unload("opening")
    agent.sensor_fault = None
    agent.watch = Watch(len(agent.sensor.channels))
    publisher = agent.publisher
    agent.link = publisher.link = Link(
        config, board.clock, board.device.hex(), publisher.hear, board.log
    )
    del Link.__init__  # there is one
    agent.due_ms = hal.uptime_ms()
    if config["sleep"]:
        from tally.rest import Rest

        agent.rest = Rest(config, agent.chain)
        agent.rest.resume(agent)
    agent.trial = once("place", "state")
    seconds = config["watchdog_s"] or (agent.trial is not None and 120)  # boot.py has started it
    if seconds and agent.watchdog is None:
        agent.watchdog = hal.watchdog(seconds)
    agent.state = "ready"
    board.log("awake again" if agent.woken else "running")
    return True
