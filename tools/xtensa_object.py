"""Mend what LLVM writes into an Xtensa object so that MicroPython's linker reads it as meant.

Two things differ between LLVM's objects and those of the GNU assembler that `mpy_ld` was written
for (Elf32_Rela: the addend stands in the relocation):

1. A literal's address is given as section + addend; `mpy_ld` wants the addend in the word itself.
2. An `l32r` instruction that is to be relocated has an offset in it already; `mpy_ld` adds to it,
   so the result links and then reads from a wrong place. The offset is set to zero.

    python3 -m tools.xtensa_object ed25519.o
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

R_XTENSA_32 = 1
R_XTENSA_SLOT0_OP = 20
SHT_RELA = 4
RELA_SIZE = 12


class XtensaObjectError(Exception):
    """Not a 32-bit little-endian object with the relocations that this module knows."""


def mend(data: bytes) -> bytes:
    """The same object with both differences taken out."""
    if data[:6] != b"\x7fELF\x01\x01":
        raise XtensaObjectError("not a 32-bit little-endian ELF file")
    mended = bytearray(data)
    table, size, count, names_at = sections_of(data)

    def section(index: int) -> tuple[int, ...]:
        return struct.unpack_from("<10I", data, table + index * size)

    names = section(names_at)[4]
    for index in range(count):
        head = section(index)
        if head[1] != SHT_RELA:
            continue
        target = section(head[7])
        start = names + target[0]
        name = data[start : data.index(b"\0", start)].decode()
        for at in range(head[4], head[4] + head[5], RELA_SIZE):
            offset, info, addend = struct.unpack_from("<IIi", data, at)
            place = target[4] + offset
            kind = info & 0xFF
            if name.startswith(".literal") and kind == R_XTENSA_32 and addend:
                word = struct.unpack_from("<I", data, place)[0]
                struct.pack_into("<I", mended, place, (word + addend) & 0xFFFFFFFF)
                struct.pack_into("<i", mended, at + 8, 0)
            elif name.startswith(".text") and kind == R_XTENSA_SLOT0_OP and data[place] & 15 == 1:
                mended[place + 1 : place + 3] = b"\0\0"
    return bytes(mended)


def sections_of(data: bytes) -> tuple[int, int, int, int]:
    """Where the section table is, the size and number of its entries, which one holds the names."""
    table = struct.unpack_from("<I", data, 32)[0]
    size, count, names = struct.unpack_from("<HHH", data, 46)
    return table, size, count, names


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_bytes(mend(path.read_bytes()))
