"""The ledger with a million blocks: `python -m bench.ledger_million [BLOCKS]`. Takes some minutes and a gigabyte.

As fast as a small one? How large is a real proof? How soon is it up again, and with how much memory? A ledger of 10^4
blocks and the large one take blocks in turn, a thousand each, checked as from the broker: so whatever else the machine
does counts for both. Most of what fills the large one is attached without a look at signatures, which it has none of.
"""

from __future__ import annotations

import sys
import tempfile
import time
from hashlib import sha512
from pathlib import Path
from typing import Final

from bench.figure import Figure
from bench.ledger import MILLION, PROOF_BAR, Load, Spent, fresh_node, service, wait
from tallystick import block, checkpoint, milestone
from tallystick.block import BlockKind
from tallystick.keys import PrivateKey
from tallystick_ledger.admission import Subject
from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tallystick_ledger.reader import Reader
from tools.parts import Broker

NOW: Final = 1_795_242_134
STEP: Final = 1_000
SMALL: Final = 10_000
WARM: Final = 2_000
TURNS: Final = 12
TURN: Final = 1_280
SLOWER_BAR: Final = 1.3
RESTART_BAR: Final = 5.0
MEMORY_BAR: Final = 200.0


class Idle:
    """Signs with what is no signature, so that a ledger fills up soon."""

    def __init__(self) -> None:
        self.public = PrivateKey.from_seed(bytes(32)).public

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return sha512(message).digest()


def fill(node: Node, blocks: int) -> None:
    """Attach and confirm anchors, each on the one before, until there are so many blocks."""
    signer = Idle()
    origin = checkpoint.gateway_name(signer.public)
    note = checkpoint.sign(PrivateKey.from_seed(bytes(32)), origin, 1, bytes(32))
    subject = Subject(signer.public.kid, None, checkpoint.parse(note))
    while node.head.size < blocks:
        with node.store.transaction():
            tip = node.previous
            for time_ in range(STEP):
                raw = block.sign(signer, [tip], NOW + time_, BlockKind.ANCHOR, note)
                one = block.parse(raw)
                node.attach(one, subject)
                tip = one.id
        node.tick()
        if node.head.index % 50 == 0:
            print(f"{node.head.size} blocks", file=sys.stderr, flush=True)


def grown(small: Folder, folder: Folder, blocks: int) -> tuple[Spent, Spent, int]:
    """What blocks cost a small ledger and one of so many, and the longest of 1,000 proofs of the large one."""
    with fresh_node(small) as beside, fresh_node(folder) as node:
        fill(beside, SMALL - WARM)
        fill(node, blocks - WARM)
        early, late = Spent(), Spent()
        pairs = [(Load(beside), early), (Load(node), late)]
        for load, _ in pairs:
            load.run(WARM)
        for turn in range(TURNS):
            # first the one, then the other, so that neither always comes behind
            for load, spent in pairs[:: -1 if turn % 2 else 1]:
                spent.add(load.run(TURN))
        longest = 0
        for _, name, _ in node.store.outsiders_confirmed(node.head.size - 3_000, 1_000):
            confirmed = node.store.confirmed(name)
            if confirmed is not None:
                milestone.parse_confirmed(confirmed.encode()).verify_inclusion()
                longest = max(longest, len(confirmed.encode()))
        return early, late, longest


def restarted(folder: Folder) -> tuple[float, float]:
    """(seconds from the start of the process to its first milestone, its largest resident memory in MB)."""
    with Reader.open(folder.database) as reader:
        before = reader.head().index

    def up() -> bool:
        with Reader.open(folder.database) as now:
            return now.head().index > before

    with Broker(folder.path.parent / "broker") as broker:
        started = time.perf_counter()
        with service(folder, broker.port) as process:
            wait(up)
            seconds = time.perf_counter() - started
            with Reader.open(folder.database) as reader:
                before = reader.head().index + 5
            wait(up)
            status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return seconds, int(peak.split()[1]) / 1024


def main(blocks: int) -> int:
    """Print the figures; 1 if one falls short."""
    with tempfile.TemporaryDirectory() as name:
        small, folder = Folder(Path(name) / "small"), Folder(Path(name) / "ledger")
        for place in (small, folder):
            place.create("bench", NOW)
        early, late, longest = grown(small, folder, blocks)
        seconds, memory = restarted(folder)
        size = folder.database.stat().st_size / blocks
    found = [
        Figure("blocks a second at 10^4", round(early.blocks / early.ledger_s), "", "", True),
        Figure("blocks a second at the end", round(late.blocks / late.ledger_s), "", "", True),
        Figure("of bare verify at 10^4", round(early.ratio, 3), "", "", True),
        Figure("of bare verify at the end", round(late.ratio, 3), "", "", True),
        Figure.at_most(
            "time a block, against 10^4",
            round(late.ledger_s / early.ledger_s, 2),
            "times",
            SLOWER_BAR,
        ),
        Figure(
            "the same by processor time",
            round(late.ledger_cpu_s / early.ledger_cpu_s, 2),
            "times",
            "",
            True,
        ),
        Figure.at_most("longest of 1,000 proofs", longest, "bytes", PROOF_BAR),
        Figure.at_most("restart to the first milestone", round(seconds, 2), "s", RESTART_BAR),
        Figure.at_most("resident memory, at most", round(memory), "MB", MEMORY_BAR),
        Figure("on disk", round(size), "bytes a block", "", True),
    ]
    for one in found:
        state = ("ok" if one.ok else "short") if one.bar else "-"
        print(f"{one.name:36} {one.value:g} {one.unit:16} {one.bar:10} {state}")
    return 0 if all(one.ok for one in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION))
    except KeyboardInterrupt:
        sys.exit(130)
