"""What the virtual board measures: the computer that it runs on. Real values, for once.

load     average number of running processes over one minute, /proc/loadavg
memory   available memory in millions of bytes, /proc/meminfo
chip     temperature of the first thermal zone or hwmon sensor that can be read; a computer without one gives
         None, as a board with a broken sensor would
"""

import os

_SOURCES = ("/sys/class/thermal", "/sys/class/hwmon")


def _first_line(path):
    with open(path) as file:
        return file.readline().strip()


def _find():
    for folder in _SOURCES:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            for leaf in ("temp", "temp1_input"):
                path = "%s/%s/%s" % (folder, name, leaf)
                try:
                    int(_first_line(path))
                    return path
                except (OSError, ValueError):
                    continue
    return None


class Sensor:
    channels = (("load", "/", -2), ("memory", "B", 6), ("chip", "Cel", -1))

    def __init__(self):
        self._path = _find()

    def read(self):
        return self._load(), self._memory(), self._chip()

    def _load(self):
        try:
            whole, _, part = _first_line("/proc/loadavg").split()[0].partition(".")
            return int(whole) * 100 + int(part)
        except (OSError, ValueError, IndexError):
            return None

    def _memory(self):
        try:
            with open("/proc/meminfo") as file:
                for line in file:
                    if line.startswith("MemAvailable:"):
                        return int(line.split()[1]) * 1024 // 1000000
        except (OSError, ValueError, IndexError):
            pass
        return None

    def _chip(self):
        if self._path is None:
            return None
        try:
            return int(_first_line(self._path)) // 100
        except (OSError, ValueError):
            return None
