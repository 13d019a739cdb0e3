"""What the virtual board measures: the computer that it runs on. Real values, for once.

load     average number of running processes over one minute, /proc/loadavg
memory   available memory in millions of bytes, /proc/meminfo
chip     temperature of the first thermal zone or hwmon sensor that can be read; a computer without one gives
         None, as a board with a broken sensor would
"""


def _line(path, start=""):
    """The first line of a file that starts like this, None where there is none."""
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(start):
                    return line
    except (OSError, ValueError):
        pass
    return None


class Sensor:
    channels = (("load", "/", -2), ("memory", "B", 6), ("chip", "Cel", -1))

    def __init__(self):
        self._path = __import__("thermometer").find(_line)

    def read(self):
        try:
            load = int(_line("/proc/loadavg").split()[0].replace(".", ""))
        except (AttributeError, ValueError):
            load = None
        try:
            memory = int(_line("/proc/meminfo", "MemAvailable:").split()[1]) * 1024 // 1000000
        except (AttributeError, ValueError):
            memory = None
        try:
            chip = int(_line(self._path)) // 100
        except (TypeError, ValueError):
            chip = None
        return load, memory, chip
