"""Where the computer of a virtual board tells its temperature: asked once, at a start."""

import os
import sys


def find(line):
    """A path, None where there is no temperature. line: of virtual_sensor.py, which forgets this module at once."""
    del sys.modules["thermometer"]
    for folder, leaf in (("/sys/class/thermal", "/temp"), ("/sys/class/hwmon", "/temp1_input")):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            path = folder + "/" + name + leaf
            if (line(path) or "").strip().isdigit():
                return path
    return None
