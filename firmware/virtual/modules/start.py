"""What the ROM of the virtual board does: puts its own modules first, then runs boot.py and main.py."""

import sys

sys.path[:] = [sys.path[0], "", "lib", ".frozen"]


def _run(name):
    with open(name) as file:
        return compile(file.read(), name, "exec")


if "storage" in __import__("machine").world():
    __import__("storage")
if "partitions.csv" in __import__("os").listdir(".."):
    __import__("otadata").boot()
    del sys.modules["otadata"]
if "--repl" in sys.argv:
    import raw_repl

    raw_repl.run()
for _name in ("boot.py", "main.py"):
    exec(_run(_name), {"__name__": "__main__"})
