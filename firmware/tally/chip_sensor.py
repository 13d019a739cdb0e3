"""The sensor of a board without sensors: its chip's own temperature, and its free memory."""

import gc


class Sensor:
    """Degrees Celsius of the chip, bytes of free heap."""

    channels = (("chip", "Cel", 0), ("free", "B", 0))

    def read(self):
        return self._temperature(), gc.mem_free()

    def _temperature(self):
        import esp32

        # The ESP32 gives degrees Fahrenheit of a raw sensor, its successors Celsius.
        try:
            return esp32.mcu_temperature()
        except AttributeError:
            pass
        try:
            return (esp32.raw_temperature() - 32) * 5 // 9
        except AttributeError:
            return None
