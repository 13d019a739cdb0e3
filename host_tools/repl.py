"""A board's MicroPython, reached with the real mpremote: files onto it, its agent stopped or started.

Rules
* `resume` always: a soft reset would start nothing that we need and can lose what a running agent holds.
* What is copied is compared first: a file that is there already is not written again; an interrupted copy goes on.
* Nothing is read from a board but its records and what files it has. Its key is not a file, and never asked for.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Final

from tallystick_host import programs, terminal
from tallystick_host.agent_files import ARCHITECTURES, FILES, FOLDERS, AgentFiles
from tallystick_host.console import Console
from tallystick_host.errors import HostError, UndoneError
from tallystick_host.ports import PERMISSION_HINT
from tallystick_host.transport import SerialPort
from tallystick_host.words import shown, shown_path

__all__ = ["Repl", "farewell"]

_FILE: Final = re.compile(r"file ([0-9]{1,9}) ([0-9a-f]{64}) (\S+)")
# in the order of MicroPython's py/persistentcode.h; bits 10 and up of sys.implementation._mpy
_MPY_ARCHITECTURE: Final = 10
# after a copy over the cable it is what was copied that runs, whatever an update has brought since
_FIRST_PLACE: Final = """
import esp32
store = esp32.NVS('tally')
try:
    store.get_i32('place')
    store.erase_key('place')
    store.commit()
except OSError:
    pass
"""
_FAREWELL_S: Final = 6.0  # a start, and the first use of the key

# prints `file <size> <SHA-256> <path>` for each of the agent's files, then `end`; runs on the board
_LIST: Final = """
import os
from binascii import hexlify
from hashlib import sha256
def look(path):
    for name, kind, *_ in os.ilistdir(path):
        if kind != 0x4000:
            show(path + '/' + name)
        elif name not in ('.', '..'):
            look(path + '/' + name)
def show(path):
    digest = sha256()
    size = 0
    with open(path, 'rb') as file:
        while True:
            data = file.read(512)
            if not data:
                break
            size += len(data)
            digest.update(data)
    print('file', size, hexlify(digest.digest()).decode(), path)
for look_at, names in ((look, %r), (show, %r)):
    for name in names:
        try:
            look_at(name)
        except OSError:
            pass
print('end')
"""
_MAKE: Final = """
import os
for name in %r:
    try:
        os.mkdir(name)
    except OSError:
        pass
"""
_REMOVE: Final = "import os\nfor name in %r:\n    os.remove(name)"
# 200 ms: until mpremote has heard that it is done
_RESET: Final = "import machine, time\ntime.sleep_ms(200)\nmachine.reset()"


class Repl:
    """The board at `port`."""

    def __init__(self, port: str) -> None:
        self.port = port

    def files(self) -> dict[str, tuple[int, str]]:
        """Path -> size and SHA-256 of the agent's files on the board."""
        answer = self._exec(_LIST % (FOLDERS, FILES))
        lines = answer.splitlines()
        if "end" not in lines:
            raise UndoneError(
                f"{shown(self.port)} is no MicroPython that we know: {shown(answer, 60)!r}",
                code="repl.form",
                hint="flash it first: tally flash",
            )
        matches = (_FILE.fullmatch(line) for line in lines)
        return {match[3]: (int(match[1]), match[2]) for match in matches if match}

    def architecture(self) -> str:
        """mpy-cross's name of the board's machine: for what its MicroPython loads native code."""
        answer = self._exec("import sys\nprint('mpy', getattr(sys.implementation, '_mpy', 0))")
        match = re.search(r"^mpy ([0-9]{1,6})$", answer, re.MULTILINE)
        number = int(match[1]) >> _MPY_ARCHITECTURE if match else 0
        return ARCHITECTURES[number] if number < len(ARCHITECTURES) else "none"

    def copy(self, agent: AgentFiles) -> int:
        """Make the board's agent `agent`; how many files were changed.

        main.py comes last: a board whose copy broke off does not start half an agent.
        """
        wanted = agent.facts
        present = self.files()
        missing = [path for path, facts in wanted.items() if present.get(path) != facts]
        missing.sort(key=lambda path: (path in FILES, path))
        stale = [path for path in present if path not in wanted]
        if stale:
            self._exec(_REMOVE % (stale,))
        folders = sorted(
            {str(up) for path in missing for up in Path(path).parents if str(up) != "."}
        )
        if folders:
            self._exec(_MAKE % (folders,))
        argv: list[str] = []
        for path in missing:
            argv += ["fs", "cp", "-f", str(agent.folder / path), f":{path}", "+"]
        if argv:
            self._run(argv[:-1])
            # read back: what the board has is what counts
            if self.files() != wanted:
                raise UndoneError(
                    "the board's files are not those that were sent",
                    code="repl.copy",
                    hint="repeat the command: it goes on where it was",
                )
        self._exec(_FIRST_PLACE)
        return len(missing) + len(stale)

    def fetch(self, path: str, target: Path) -> None:
        """Copy a folder from the board into the folder `target`."""
        self._run(["fs", "cp", "-r", f":{path}", str(target)])

    def reset(self) -> None:
        """Start the board anew: boot.py, main.py."""
        self._run(["exec", "--no-follow", _RESET])

    def _exec(self, code: str) -> str:
        return self._run(["exec", code])

    def _run(self, argv: list[str]) -> str:
        ended = programs.run("mpremote", ["connect", self.port, "resume", *argv])
        if ended.status != 0:
            raise _failure(ended.text, self.port)
        return ended.text


def _failure(text: str, port: str) -> HostError:
    name = shown(port)
    if "ermission denied" in text:
        return UndoneError(
            f"cannot open the port {name!r}: permission denied",
            code="port.open",
            hint=PERMISSION_HINT,
        )
    if "failed to access" in text or "no device found" in text:
        return UndoneError(
            f"cannot open the port {name!r}",
            code="port.open",
            hint="tally devices lists the ports; close any monitor that has it open",
        )
    if any(words in text for words in ("Input/output error", "Errno 5", "device disconnected")):
        return UndoneError(
            f"{name} broke off",
            code="port.gone",
            hint="plug the board in again and repeat the command: it goes on where it was",
        )
    if "could not enter raw repl" in text:
        return UndoneError(
            f"no MicroPython answers at {name}",
            code="repl.silent",
            hint="flash it first: tally flash; or press its reset button and try again",
        )
    if "No space left" in text or "ENOSPC" in text or "Errno 28" in text:
        return UndoneError("the board's file system is full", code="repl.full")
    lines = [line for line in text.splitlines() if line.strip()]
    return UndoneError(
        f"mpremote: {shown(lines[-1].strip()) if lines else 'no word of why'}",
        code="repl.failed",
        hint="repeat the command: it goes on where it was",
    )


def farewell(port: str) -> str | None:
    """Before a board's identity is erased: its id, and what its gateway does not have yet copied to a folder here.

    None if no agent answers at the port: then there is nothing that we could ask.
    """
    try:
        transport = SerialPort(port)
        transport.start_s = _FAREWELL_S
    except HostError:
        return None
    try:
        console = Console(transport)
        console.wake()
        id = str(json.loads(console.ask("info"))["id"])
        queue = int(json.loads(console.ask("status"))["queue"])
    except (HostError, ValueError, KeyError, TypeError, RecursionError):
        return None
    finally:
        transport.close()
    if queue:
        base = Path.cwd() / f"{id}-records"
        base.mkdir(exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix="erased-", dir=base))
        Repl(port).fetch("journal", target)
        terminal.warning(
            f"{queue} records that no gateway has acknowledged were copied to {shown_path(target)}"
        )
    return id
