"""The embedded ledger: blocks validated, attached and confirmed on disk, in one process.

Bare verification is `cryptography`'s Ed25519 in the same process, on as many signatures. The time
of making the blocks is not counted.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.figure import Figure
from bench.gateway_rules import bare_s, chain_of
from tallystick import block, checkpoint
from tallystick.block import BlockKind
from tallystick.keys import PrivateKey
from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store

BLOCKS = 2_000
BATCH = 100  # blocks in one transaction, then a milestone
NOW = 1_795_242_134
SECOND_BAR = 1_000.0
BARE_BAR = 0.5


def blocks_s() -> float:
    """Seconds to take in `BLOCKS` anchors, each on the newest tip, and to confirm them all."""
    gateway = PrivateKey.from_seed(bytes(32))
    origin = checkpoint.gateway_name(gateway.public)
    spent = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name) / "ledger")
        folder.create("bench", NOW)
        with Store.writing(folder.database) as store:
            node = Node(store, folder.key(), lambda: NOW)
            for first in range(0, BLOCKS, BATCH):
                parents = node.tips()[:4]
                notes = [
                    checkpoint.sign(gateway, origin, size + 1, bytes(32))
                    for size in range(first, first + BATCH)
                ]
                batch = [
                    block.sign(gateway, parents, NOW, BlockKind.ANCHOR, note) for note in notes
                ]
                started = time.perf_counter()
                node.submit(batch)
                node.tick()
                spent += time.perf_counter() - started
    return spent


def figures() -> list[Figure]:
    """Blocks a second, and against bare verification."""
    key = PrivateKey.from_seed(bytes(range(32)))
    bare = bare_s(key, chain_of(key, BLOCKS, 1))
    spent = blocks_s()
    return [
        Figure.at_least(
            "blocks attached and confirmed", round(BLOCKS / spent), "a second", SECOND_BAR
        ),
        Figure.at_least("the same", round(bare / spent, 2), "of bare verify", BARE_BAR),
    ]
