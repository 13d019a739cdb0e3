"""The lock: a board without a REPL, whose console only answers questions. Loaded when it matters.

Rules
* A file says that the board is locked; boot.py looks for it before anything else runs.
* Only the gateway's command `unlock` takes it away, if the owner has allowed that one; else a new identity does.
* It keeps out whoever has a terminal. Whoever has esptool reads the flash all the same, and the key in it.
"""

import os

_PATH = "locked"
OPEN = "info status challenge reset help"  # to whoever has the cable


def locked():
    return _PATH in os.listdir()


def lock():
    import micropython

    with open(_PATH, "w") as file:
        file.write("docs/boards.md\n")
    micropython.kbd_intr(-1)


def unlock():
    """From the next start on. False if it was not locked."""
    if not locked():
        return False
    os.remove(_PATH)
    return True
