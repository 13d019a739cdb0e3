"""A 32-bit RISC-V machine that runs the real MicroPython, with native modules, as an ESP32-C3 does.

The machine is QEMU's, MicroPython is its port for it, and the real mpremote talks to it over a
pseudo-terminal. It has no file system and no network: modules are handed over as text, and a small
virtual file system lends them to `import`.

    with Rv32() as board:
        board.lend("_ed25519.mpy", content)
        print(board.execute("import _ed25519; print(1 + 1)"))
"""

from __future__ import annotations

import base64
import re
import subprocess
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from tests import parts

MACHINE = ["-bios", "none", "-machine", "virt", "-nographic", "-monitor", "null", "-semihosting"]
PIECE = 384  # bytes handed over at a time
TIMEOUT_S = 60

FILE_SYSTEM = """
import binascii, gc, io, vfs
class _File(io.IOBase):
    def __init__(self, content):
        self.content = content
        self.at = 0
    def readinto(self, to):
        piece = self.content[self.at : self.at + len(to)]
        to[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)
    def ioctl(self, request, argument):
        return 0
class _Lent:
    def __init__(self):
        self.files = {}
    def mount(self, readonly, make):
        pass
    def umount(self):
        pass
    def stat(self, name):
        content = self.files.get(name.lstrip("/"))
        if content is None:
            raise OSError(2)
        return (0x8000, 0, 0, 0, 0, 0, len(content), 0, 0, 0)
    def open(self, name, mode):
        return _File(self.files[name.lstrip("/")])
_lent = _Lent()
vfs.mount(_lent, "/")
"""


class Rv32:
    """The machine, from power-on to its end."""

    def __enter__(self) -> Self:
        emulator = str(parts.part("bin/qemu-system-riscv32"))
        firmware = parts.part("riscv/firmware.elf")
        self._process = subprocess.Popen(
            [emulator, *MACHINE, "-serial", "pty", "-kernel", str(firmware)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        terminal = re.search(r"/dev/\S+", said)
        assert terminal is not None, said
        mpremote: Any = import_module("mpremote.transport_serial")  # it has no types
        self._repl = mpremote.SerialTransport(terminal[0], wait=TIMEOUT_S)
        self._repl.enter_raw_repl(soft_reset=False)
        self.execute(FILE_SYSTEM)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._repl.close()
        self._process.kill()
        self._process.wait()

    def execute(self, code: str) -> str:
        """Run Python on the machine; what it printed. An exception there fails the test."""
        printed, complaints = self._repl.exec_raw(code, timeout=TIMEOUT_S)
        assert complaints == b"", complaints.decode()
        return str(printed.decode())

    def lend(self, name: str, content: bytes) -> None:
        """Make a file that `import` finds."""
        self.execute(f"_new = bytearray({len(content)}); _at = 0")
        for start in range(0, len(content), PIECE):
            piece = base64.b64encode(content[start : start + PIECE]).decode()
            self.execute(
                f"_p = binascii.a2b_base64('{piece}'); _new[_at : _at + len(_p)] = _p; "
                "_at += len(_p)"
            )
        self.execute(f"_lent.files[{name!r}] = _new; gc.collect()")
