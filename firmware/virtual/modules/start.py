"""What the ROM of the virtual board does: puts its own modules first, then runs boot.py and main.py."""

import sys

sys.path[:] = [sys.path[0], "", "lib", ".frozen"]

for _name in ("boot.py", "main.py"):
    with open(_name) as _file:
        _source = _file.read()
    exec(compile(_source, _name, "exec"), {"__name__": "__main__"})
