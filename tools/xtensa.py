"""A simulator of the ESP32's processor, as far as a native module of MicroPython needs one.

Rules
* An instruction that is not known, a read of a byte from instruction memory (which an ESP32
  refuses) or a jump into nowhere is an error.
* Registers are windowed as on the chip (Xtensa ISA, windowed register option), in a file without
  end: the chip's overflow and underflow handlers cost instructions that are not counted here.
* Each straight run of instructions is translated into a Python function once.
"""

from __future__ import annotations

from collections.abc import Callable

MASK = 0xFFFFFFFF
MEMORY = 1 << 20
TEXT = 0x10000  # where instruction memory begins
HOST = 0x4000_0000 - 0x10000  # calls to here leave the simulated program
RETURN = HOST + 0xFF00
REGISTERS = 4096

CODE_OF_COMPARISON = {
    "eq": "{a} == {b}",
    "ne": "{a} != {b}",
    "lt": "({a} ^ 0x80000000) < ({b} ^ 0x80000000)",
    "ge": "({a} ^ 0x80000000) >= ({b} ^ 0x80000000)",
    "ltu": "{a} < {b}",
    "geu": "{a} >= {b}",
    "none": "{a} & {b} == 0",
    "any": "{a} & {b} != 0",
    "all": "~{a} & {b} == 0",
    "nall": "~{a} & {b} != 0",
    "bc": "{a} >> ({b} & 31) & 1 == 0",
    "bs": "{a} >> ({b} & 31) & 1 == 1",
}
BRANCHES = (
    *("none", "eq", "lt", "ltu", "all", "bc", "bci", "bci"),
    *("any", "ne", "ge", "geu", "nall", "bs", "bsi", "bsi"),
)
B4CONST = (-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
B4CONSTU = (32768, 65536, *B4CONST[2:])


class XtensaError(Exception):
    """The module did what an ESP32 would not survive, or what the simulator does not know."""


def signed(value: int, bits: int) -> int:
    """The two's complement reading of the low `bits` bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class Machine:
    """Registers, memory and the translated code."""

    def __init__(self) -> None:
        self.memory = bytearray(MEMORY)
        self.words = memoryview(self.memory).cast("I")
        self.halves = memoryview(self.memory).cast("H")
        self.registers = [0] * REGISTERS
        self.base = 0  # of the window
        self.shift = 0  # SAR
        self.increment = 0  # PS.CALLINC
        self.instructions = 0
        self.text_end = TEXT
        self._blocks: dict[int, tuple[Callable[[Machine, list[int], int], int], int]] = {}

    def run(self, at: int, host: Callable[[int], None]) -> None:
        """Run from `at` until the outermost function returns."""
        while True:
            if at == RETURN:
                return
            if at >= HOST:
                host(at - HOST)
                at = self.registers[self.base + 8] & 0x3FFFFFFF  # as a `callx8` leaves it
                continue
            block = self._blocks.get(at)
            if block is None:
                block = self._blocks[at] = self._translate(at)
            self.instructions += block[1]
            at = block[0](self, self.registers, self.base)

    def byte(self, at: int) -> int:
        """A byte of data memory."""
        if TEXT <= at < self.text_end:
            message = f"a byte is read from instruction memory at {at:#x}"
            raise XtensaError(message)
        return self.memory[at]

    def _translate(self, start: int) -> tuple[Callable[[Machine, list[int], int], int], int]:
        lines: list[str] = []
        at, count = start, 0
        while True:
            if not TEXT <= at < self.text_end:
                message = f"a jump into nowhere, {at:#x}"
                raise XtensaError(message)
            size = 2 if self.memory[at] & 15 >= 8 else 3
            word = int.from_bytes(self.memory[at : at + size], "little")
            text, ends = (narrow if size == 2 else wide)(word, at)
            lines += text
            count += 1
            at += size
            if ends:
                break
            if count == 200:
                lines.append(f"return {at}")
                break
        body = "\n ".join(lines)
        names: dict[str, Callable[[Machine, list[int], int], int]] = {}
        exec(f"def block(m, r, b):\n {body}", names)  # noqa: S102 - text of this module's own making
        return names["block"], count


def reg(number: int) -> str:
    """A register of the current window, as text."""
    return f"r[b+{number}]"


def branch(condition: str, target: int, following: int) -> tuple[list[str], bool]:
    """A conditional jump ends its run."""
    return [f"return {target & MASK} if {condition} else {following}"], True


def narrow(word: int, at: int) -> tuple[list[str], bool]:
    """An instruction of 16 bits (code density option)."""
    op, t, s, r = word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12 & 15
    if op == 8:
        return [f"{reg(t)} = m.words[{reg(s)} + {r << 2} >> 2]"], False
    if op == 9:
        return [f"m.words[{reg(s)} + {r << 2} >> 2] = {reg(t)}"], False
    if op == 10:
        return [f"{reg(r)} = {reg(s)} + {reg(t)} & {MASK}"], False
    if op == 11:
        return [f"{reg(r)} = {reg(s)} + {t or -1} & {MASK}"], False
    if op == 12 and t < 8:
        value = (t & 7) << 4 | r
        return [f"{reg(s)} = {(value - 128 if value >= 96 else value) & MASK}"], False
    if op == 12:
        sign = "!=" if t & 4 else "=="
        return branch(f"{reg(s)} {sign} 0", at + 4 + (r | (t & 3) << 4), at + 2)
    if op == 13 and r == 0:
        return [f"{reg(t)} = {reg(s)}"], False
    if op == 13 and r == 15 and t == 1:
        return return_from_window(), True
    if op == 13 and r == 15 and t == 3:
        return ["pass"], False
    return unknown(word, at)


def return_from_window() -> list[str]:
    """RETW: the top bits of a0 say how far the window goes back."""
    return ["a = r[b]", "m.base = b - (a >> 30 << 2)", "return a & 0x3FFFFFFF"]


def unknown(word: int, at: int) -> tuple[list[str], bool]:
    """Every instruction that is not one of those above."""
    message = f"unknown instruction {word:#08x} at {at:#x}"
    raise XtensaError(message)


def call(increment: int, target: str, at: int) -> tuple[list[str], bool]:
    """CALL4, CALL8 and CALL12: the return address goes where the callee will find it as a0."""
    back = (increment << 30 | at + 3) & MASK
    return [
        f"a = {target}",
        f"m.increment = {increment}",
        f"r[b+{increment << 2}] = {back}",
        "return a",
    ], True


def wide(word: int, at: int) -> tuple[list[str], bool]:
    """An instruction of 24 bits."""
    op, t, s, r = word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12 & 15
    imm8 = word >> 16
    here = at + 3
    if op == 0:
        return register_instruction(word, at)
    if op == 1:  # L32R
        address = (at + 3 & ~3) + (signed(word >> 8, 16) << 2 | ~0x3FFFF) & MASK
        return [f"{reg(t)} = m.words[{address >> 2}]"], False
    if op == 2:
        return memory_instruction(r, s, t, imm8, word, at)
    if op == 5 and t & 3:
        return call(t & 3, str((at & ~3) + 4 + (signed(word >> 6, 18) << 2)), at)
    if op == 6:
        return jump_instruction(word, at)
    if op == 7:
        kind = BRANCHES[r]
        target = at + 4 + signed(imm8, 8)
        if kind in ("bci", "bsi"):
            bit = t | (r & 1) << 4
            wanted = 1 if kind == "bsi" else 0
            return branch(f"{reg(s)} >> {bit} & 1 == {wanted}", target, here)
        return branch(CODE_OF_COMPARISON[kind].format(a=reg(s), b=reg(t)), target, here)
    return unknown(word, at)


def memory_instruction(
    r: int, s: int, t: int, imm8: int, word: int, at: int
) -> tuple[list[str], bool]:
    """Loads, stores, and the additions of a constant."""
    to, base = reg(t), reg(s)
    text = {
        0: f"{to} = m.byte({base} + {imm8})",
        1: f"{to} = m.halves[{base} + {imm8 << 1} >> 1]",
        2: f"{to} = m.words[{base} + {imm8 << 2} >> 2]",
        4: f"m.memory[{base} + {imm8}] = {to} & 255",
        5: f"m.halves[{base} + {imm8 << 1} >> 1] = {to} & 65535",
        6: f"m.words[{base} + {imm8 << 2} >> 2] = {to}",
        9: f"a = m.halves[{base} + {imm8 << 1} >> 1]; {to} = a | 0xFFFF0000 if a >> 15 else a",
        10: f"{to} = {signed(imm8 | s << 8, 12) & MASK}",
        12: f"{to} = {base} + {signed(imm8, 8)} & {MASK}",
        13: f"{to} = {base} + {signed(imm8, 8) << 8} & {MASK}",
    }.get(r)
    return ([text], False) if text else unknown(word, at)


def jump_instruction(word: int, at: int) -> tuple[list[str], bool]:
    """J, the branches on one register, and ENTRY."""
    t, s, r = word >> 4 & 15, word >> 8 & 15, word >> 12 & 15
    kind, which = t & 3, t >> 2
    if kind == 0:
        return [f"return {at + 4 + signed(word >> 6, 18)}"], True
    if kind == 1:
        condition = ("{} == 0", "{} != 0", "{} >> 31 == 1", "{} >> 31 == 0")[which]
        return branch(condition.format(reg(s)), at + 4 + signed(word >> 12, 12), at + 3)
    if kind == 2 or which in (2, 3):
        name = ("eq", "ne", "lt", "ge")[which] if kind == 2 else ("ltu", "geu")[which - 2]
        constant = (B4CONST if kind == 2 else B4CONSTU)[r] & MASK
        condition = CODE_OF_COMPARISON[name].format(a=reg(s), b=constant)
        return branch(condition, at + 4 + signed(word >> 16, 8), at + 3)
    if which == 0:  # ENTRY
        frame = (word >> 12) << 3
        return [
            f"a = {reg(s)}",
            "b = m.base = b + (m.increment << 2)",
            f"{reg(s)} = a - {frame}",
        ], False
    return unknown(word, at)


def register_instruction(word: int, at: int) -> tuple[list[str], bool]:
    """Everything between registers."""
    t, s, r = word >> 4 & 15, word >> 8 & 15, word >> 12 & 15
    op1, op2 = word >> 16 & 15, word >> 20
    to, a, b = reg(r), reg(s), reg(t)
    if op1 in (4, 5):  # EXTUI
        return [f"{to} = {b} >> {s | (op1 & 1) << 4} & {(2 << op2) - 1}"], False
    if op1 == 0 and op2 == 0:
        if r == 0 and t >> 2 == 3 and t & 3:
            return call(t & 3, a, at)
        if r == 0 and t in (9,):
            return return_from_window(), True
        if r == 0 and t == 10:
            return [f"return {a}"], True
        if r == 2:  # MEMW, ISYNC, NOP and their like
            return ["pass"], False
        return unknown(word, at)
    if op1 == 0 and op2 == 4:
        shift = {
            0: f"m.shift = {a} & 31",
            1: f"m.shift = 32 - ({a} & 31)",
            2: f"m.shift = ({a} & 3) << 3",
            4: f"m.shift = {s | (t & 1) << 4}",
        }.get(r)
        return ([shift], False) if shift else unknown(word, at)
    if op1 == 0 and op2 == 6:
        absolute = f"{to} = {b} if {b} >> 31 == 0 else -{b} & {MASK}"
        return [absolute if s else f"{to} = -{b} & {MASK}"], False
    wide_signed = "(({0} ^ 0x80000000) - 0x80000000)"
    left = 32 - (t | (op2 & 1) << 4)
    right = s | (op2 & 1) << 4
    text = {
        (0, 1): f"{to} = {a} & {b}",
        (0, 2): f"{to} = {a} | {b}",
        (0, 3): f"{to} = {a} ^ {b}",
        (0, 8): f"{to} = {a} + {b} & {MASK}",
        (0, 9): f"{to} = ({a} << 1) + {b} & {MASK}",
        (0, 10): f"{to} = ({a} << 2) + {b} & {MASK}",
        (0, 11): f"{to} = ({a} << 3) + {b} & {MASK}",
        (0, 12): f"{to} = {a} - {b} & {MASK}",
        (0, 13): f"{to} = ({a} << 1) - {b} & {MASK}",
        (0, 14): f"{to} = ({a} << 2) - {b} & {MASK}",
        (0, 15): f"{to} = ({a} << 3) - {b} & {MASK}",
        (1, 0): f"{to} = {a} << {left} & {MASK}",
        (1, 1): f"{to} = {a} << {left} & {MASK}",
        (1, 2): f"{to} = {wide_signed.format(b)} >> {right} & {MASK}",
        (1, 3): f"{to} = {wide_signed.format(b)} >> {right} & {MASK}",
        (1, 4): f"{to} = {b} >> {s}",
        (1, 8): f"{to} = ({a} << 32 | {b}) >> m.shift & {MASK}",
        (1, 9): f"{to} = {b} >> m.shift",
        (1, 10): f"{to} = {a} << 32 - m.shift & {MASK}",
        (1, 11): f"{to} = {wide_signed.format(b)} >> m.shift & {MASK}",
        (1, 12): f"{to} = ({a} & 65535) * ({b} & 65535)",
        (2, 8): f"{to} = {a} * {b} & {MASK}",
        (2, 10): f"{to} = {a} * {b} >> 32",
        (2, 11): f"{to} = {wide_signed.format(a)} * {wide_signed.format(b)} >> 32 & {MASK}",
        (3, 2): f"c = {a} & {(2 << t + 7) - 1}; {to} = (c ^ {1 << t + 7}) - {1 << t + 7} & {MASK}",
        (3, 4): f"{to} = min({a}, {b}, key=lambda c: c ^ 0x80000000)",
        (3, 5): f"{to} = max({a}, {b}, key=lambda c: c ^ 0x80000000)",
        (3, 6): f"{to} = min({a}, {b})",
        (3, 7): f"{to} = max({a}, {b})",
        (3, 8): f"{to} = {a} if {b} == 0 else {to}",
        (3, 9): f"{to} = {a} if {b} != 0 else {to}",
        (3, 10): f"{to} = {a} if {b} >> 31 else {to}",
        (3, 11): f"{to} = {to} if {b} >> 31 else {a}",
    }.get((op1, op2))
    return ([text], False) if text else unknown(word, at)
