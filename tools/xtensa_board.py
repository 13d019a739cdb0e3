"""A simulated ESP32 that imports one native module of MicroPython and calls its functions.

No emulator of the ESP32 can be had as a package, and no board is at hand where the tests run. So
the very file that a board would import, `_ed25519.mpy`, is loaded here as MicroPython loads it and
run instruction by instruction. What it cannot show: timing, caches, interrupts. A board still has
to say yes. A call into MicroPython that is not simulated is an error.

    board = Board(Path("_ed25519.mpy"))
    signature = board.call("sign", key, message)
    board.instructions
"""

from __future__ import annotations

import struct
from pathlib import Path

from tools.xtensa import HOST, MASK, RETURN, TEXT, Machine, XtensaError

RODATA, TABLE, DATA, STACK = 0x30000, 0x50000, 0x60000, 0xFF000

# Indices of py/nativeglue.h, mp_fun_table.
CONST_NONE, CONST_FALSE, CONST_TRUE = 0, 1, 2
SWAP_GLOBALS, LOAD_GLOBAL, STORE_GLOBAL = 5, 7, 13
RAISE_MSG, OBJ_NEW_BYTES, GET_BUFFER = 55, 58, 65
TABLE_SIZE = 87


class RaisedError(Exception):
    """The module raised an exception; the text is its message."""


class Image:
    """A native module file, as MicroPython's py/persistentcode.c reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        if data[:2] != b"M\x06" or data[2] >> 2 != 10:
            raise XtensaError("not a native module for xtensawin")
        names = self._uint()
        if self._uint() != 0:
            raise XtensaError("a module with objects is not simulated")
        self.names = [self._name() for _ in range(names)]
        kind = self._uint()
        self.text = self._bytes(kind >> 3)
        flags = self._uint()
        self.rodata = b""
        if flags & 0x20:  # MP_SCOPE_FLAG_VIPERRODATA
            size = self._uint()
            if flags & 0x40:
                self._uint()
            self.rodata = self._bytes(size)
        self.relocations = self._relocations()

    def _uint(self) -> int:
        value = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value = value << 7 | byte & 127
            if byte < 128:
                return value

    def _bytes(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def _name(self) -> str:
        size = self._uint()
        if size & 1:  # one of MicroPython's own names, by number
            return f"static {size >> 1}"
        name = self._bytes(size >> 1).decode()
        self._at += 1
        return name

    def _relocations(self) -> list[tuple[int, int]]:
        """(address of a word, what to add to it: 0 text, 1 rodata, 6.. as in the format)."""
        found = []
        address = 0
        while (op := self._bytes(1)[0]) != 0xFF:
            if op & 1:
                place = self._uint()
                address = (RODATA if place & 1 else TEXT) + (place >> 1 << 2)
            op >>= 1
            count = 1
            if op <= 5:
                if op & 1:
                    count = self._uint()
                op >>= 1
            for _ in range(count):
                found.append((address, op))
                address += 4
        return found


class Board:
    """An ESP32 that has imported one native module. It is a simulator: no radio, no clock."""

    def __init__(self, path: Path) -> None:
        image = Image(path.read_bytes())
        machine = self._machine = Machine()
        machine.memory[TEXT : TEXT + len(image.text)] = image.text
        machine.memory[RODATA : RODATA + len(image.rodata)] = image.rodata
        machine.text_end = TEXT + len(image.text)
        self._free = DATA
        table = [HOST + 4 * index for index in range(TABLE_SIZE)]
        table[CONST_NONE : CONST_TRUE + 1] = [0xA0, 0xB0, 0xC0]
        for index, value in enumerate(table):
            machine.words[(TABLE >> 2) + index] = value
        names = self._place(struct.pack(f"<{len(image.names)}H", *range(len(image.names))))
        bases = {0: TEXT, 1: RODATA, 6: names, 8: TABLE}
        for address, kind in image.relocations:
            added = bases[kind] if kind in bases else table[kind - 9]
            machine.words[address >> 2] = machine.words[address >> 2] + added & MASK
        # mp_obj_fun_bc_t and the module's context, as far as MP_DYNRUNTIME_INIT_ENTRY looks
        context = self._place(struct.pack("<4I", 0, 0x50, names, 0))
        function = self._place(struct.pack("<2I", 0, context))
        self._names = image.names
        self._functions: dict[str, int] = {}
        self._objects: dict[int, tuple[int, int]] = {}
        self._enter(TEXT, [function, 0, 0, 0])

    @property
    def instructions(self) -> int:
        """How many were executed since the start."""
        return self._machine.instructions

    def call(self, name: str, *arguments: bytes | bytearray) -> bytes | bool | None:
        """Call a function of the module with buffers; a bytearray comes back as it was changed."""
        free = self._free
        held = [self._hold(argument) for argument in arguments]
        entry = self._machine.words[self._functions[name] + 4 >> 2]
        result = self._enter(entry, held)
        value: bytes | bool | None = {0xA0: None, 0xB0: False, 0xC0: True}.get(result)
        if result in self._objects:
            value = self._content(result)
        for argument, number in zip(arguments, held, strict=True):
            if isinstance(argument, bytearray):
                argument[:] = self._content(number)
        self._objects.clear()
        self._free = free
        return value

    def _enter(self, at: int, arguments: list[int]) -> int:
        machine = self._machine
        machine.base, machine.increment = 0, 2
        machine.registers[1] = STACK
        machine.registers[8] = 2 << 30 | RETURN & 0x3FFFFFFF
        machine.registers[10 : 10 + len(arguments)] = arguments
        machine.registers[9] = STACK
        machine.run(at, self._host)
        return machine.registers[10]

    def _host(self, offset: int) -> None:
        """What the module asks of MicroPython; arguments from a10 on, the answer in a10."""
        machine = self._machine
        at = machine.base + 10
        first, second = machine.registers[at : at + 2]
        index = offset // 4
        if index == STORE_GLOBAL:
            self._functions[self._names[first]] = second
        elif index == OBJ_NEW_BYTES:
            content = bytes(machine.memory[first : first + second])
            machine.registers[at] = self._hold(content)
        elif index == GET_BUFFER:
            address, size = self._objects[first]
            machine.words[second >> 2] = address
            machine.words[second + 4 >> 2] = size
            machine.registers[at] = 1
        elif index == RAISE_MSG:
            end = machine.memory.index(0, second)
            raise RaisedError(machine.memory[second:end].decode())
        elif index not in (SWAP_GLOBALS, LOAD_GLOBAL):  # types and globals are only passed on
            message = f"entry {index} of mp_fun_table is not simulated"
            raise XtensaError(message)

    def _place(self, content: bytes) -> int:
        address = self._free
        self._machine.memory[address : address + len(content)] = content
        self._free = address + len(content) + 7 & ~7
        return address

    def _hold(self, content: bytes | bytearray) -> int:
        address = self._place(bytes(content) + b"\0")
        self._objects[address] = (address, len(content))
        return address

    def _content(self, number: int) -> bytes:
        address, size = self._objects[number]
        return bytes(self._machine.memory[address : address + size])
