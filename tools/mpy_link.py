"""MicroPython's linker of native modules, with the one ARM relocation that LLVM needs.

    python tools/mpy_link.py FOLDER_OF_MPY_LD ARGUMENTS...

LLVM reaches a global through R_ARM_GOT_PREL (Arm ELF ABI, 96): GOT entry + addend - place. The
`mpy_ld` of MicroPython 1.25 knows all that it takes but the number.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

R_ARM_GOT_PREL = 96


def main() -> None:
    """Teach `mpy_ld` the relocation, then let it run."""
    sys.path.insert(0, sys.argv[1])
    del sys.argv[1]
    linker: Any = import_module("mpy_ld")
    for architecture in linker.ARCH_DATA.values():
        if architecture.name == "EM_ARM":
            architecture.arch_got = (*architecture.arch_got, R_ARM_GOT_PREL)
    stock = linker.do_relocation_text

    def do_relocation_text(env: Any, text_addr: int, r: Any) -> None:
        if env.arch.name != "EM_ARM" or r["r_info_type"] != R_ARM_GOT_PREL:
            stock(env, text_addr, r)
            return
        place = r["r_offset"] + text_addr
        entry = env.got_section.addr + env.got_entries[r.sym.name].offset
        addend = int.from_bytes(env.full_text[place : place + 4], "little")
        value = (entry + addend - place) & 0xFFFFFFFF
        env.full_text[place : place + 4] = value.to_bytes(4, "little")

    linker.do_relocation_text = do_relocation_text
    linker.main()


if __name__ == "__main__":
    main()
