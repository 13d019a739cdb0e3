"""The REPL of the virtual board, for programs: what `mpremote` and Thonny speak with a real one.

MicroPython's unix port has a REPL for people only. This one does what that of a board does:

    Ctrl-A      raw mode: code until Ctrl-D, answered by OK, output, Ctrl-D, error, Ctrl-D, >
    Ctrl-E A Ctrl-A  in raw mode: the same with flow control, a window at a time
    Ctrl-B      back to the mode for people, where a line is evaluated
    Ctrl-C      ends what runs (the cable makes it a signal, as the UART of a chip makes it an interrupt)
    Ctrl-D      for people: a soft reset, boot.py and main.py run again; raw: memory is cleared, nothing runs

Rules
* A start runs boot.py and main.py if they are there, and gives the REPL when they end: a board that has only
  MicroPython is a board without files.
* Paths without a leading slash are those of the board: the root of the file system is that of the host.
"""

import sys

_WINDOW = 128
_BANNER = "raw REPL; CTRL-B to exit\r\n>"
_PEOPLE = "MicroPython on the Tallystick virtual board (simulator)\r\n>>> "
_MAX_CODE = 262144
_FRESH = {}  # names of modules that were there before anything ran

_input = sys.stdin.buffer


def _say(text):
    sys.stdout.write(text)


def _byte():
    """The next byte typed; the end of the input is the end of the board."""
    data = _input.read(1)
    if not data:
        sys.exit(0)
    return data


def _run(code, name, names):
    """Run code; its error is on the wire after the first Ctrl-D, as in raw mode."""
    error = None
    try:
        exec(compile(code, name, "exec"), names)
    except SystemExit:
        raise
    except BaseException as raised:
        error = raised
    return error


def _clear(names):
    """Forget what the code before has made and loaded."""
    names.clear()
    names["__name__"] = "__main__"
    for name in list(sys.modules):
        if name not in _FRESH:
            del sys.modules[name]


def _paste():
    """Code sent with flow control; None if the host gave it up."""
    _say("R\x01")
    sys.stdout.buffer.write(_WINDOW.to_bytes(2, "little") + b"\x01")
    code = bytearray()
    taken = 0
    while True:
        data = _byte()
        if data == b"\x04":
            _say("\x04")
            return code
        if len(code) < _MAX_CODE:
            code.extend(data)
        taken += 1
        if taken == _WINDOW:
            taken = 0
            _say("\x01")


def _raw(names):
    """Raw mode until Ctrl-B."""
    _say(_BANNER)
    code = bytearray()
    while True:
        try:
            data = _byte()
            if data == b"\x01":
                code = bytearray()
                _say(_BANNER)
            elif data == b"\x02":
                return
            elif data == b"\x05" and not code:
                if _byte() == b"A" and _byte() == b"\x01":
                    _answer(_paste(), names, "")
            elif data == b"\x04":
                if code:
                    _answer(code, names, "OK")
                else:
                    _clear(names)
                    _say("OK\r\nMPY: soft reboot\r\n" + _BANNER)
                code = bytearray()
            elif len(code) < _MAX_CODE:
                code.extend(data)
        except KeyboardInterrupt:
            code = bytearray()


def _answer(code, names, accepted):
    _say(accepted)
    error = _run(bytes(code), "<stdin>", names)
    _say("\x04")
    if error is not None:
        sys.print_exception(error, sys.stdout)
    _say("\x04>")


def _people(names):
    """One line at a time until Ctrl-A."""
    _say(_PEOPLE)
    line = bytearray()
    while True:
        try:
            data = _byte()
            if data == b"\x01":
                return
            if data == b"\x04":
                _say("MPY: soft reboot\r\n")
                sys.exit(64)
            if data == b"\x02":
                line = bytearray()
                _say("\r\n" + _PEOPLE)
            elif data in b"\r\n":
                _say("\r\n")
                _line(bytes(line).strip(), names)
                line = bytearray()
                _say(">>> ")
            elif len(line) < _MAX_CODE:
                line.extend(data)
                sys.stdout.buffer.write(data)
        except KeyboardInterrupt:
            line = bytearray()
            _say("\r\n>>> ")


def _line(code, names):
    if not code:
        return
    try:
        value = eval(code, names)
        if value is not None:
            print(repr(value))
    except SystemExit:
        raise
    except SyntaxError:
        error = _run(code, "<stdin>", names)
        if error is not None:
            sys.print_exception(error, sys.stdout)
    except BaseException as error:
        sys.print_exception(error, sys.stdout)


def _start(name):
    """Run a file of the board, if it is there."""
    try:
        with open(name) as file:
            code = file.read()
    except OSError:
        return
    error = _run(code, name, {"__name__": "__main__"})
    if error is not None:
        sys.print_exception(error, sys.stdout)


def run():
    """The board from its start on; ends only with the process."""
    for name in sys.modules:
        _FRESH[name] = True
    for name in ("boot.py", "main.py"):
        _start(name)
    names = {"__name__": "__main__"}
    while True:
        try:
            _people(names)
            _raw(names)
        except KeyboardInterrupt:
            continue
