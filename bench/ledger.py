"""The embedded ledger: blocks validated, attached and confirmed on disk, in one process; how soon a receipt comes.

Each block is checked as from the broker, with its writer's signature. Bare verification is `cryptography`'s Ed25519
in the same process, on the same signatures, batch for batch, so that what else the machine does counts for both.
The time of making the blocks is not counted. `python -m bench.ledger_million` does the same up to a million blocks.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.figure import Figure
from tallystick import block, cbor, checkpoint, message, receipt, topics
from tallystick.block import Block, BlockKind
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed, sign
from tallystick.milestone import parse as parse_milestone
from tallystick.receipt import State
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import BATCH_MESSAGES
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store
from tallystick_ledger.writers import Writers
from tools.parts import LOOPBACK, Broker

BLOCKS: Final = 10_000
BATCHES_A_TICK: Final = 10
NOW: Final = 1_795_242_134
INTERVAL_S: Final = 1.0
RECEIPTS: Final = 8
SECOND_BAR: Final = 1_000.0
BARE_BAR: Final = 0.5
LATENCY_BAR: Final = 1.5
PROOF_BAR: Final = 1_600.0
UNLIMITED: Final = 1e9
MILLION: Final = 1_000_000


class Spent:
    """Seconds of the ledger, and of bare verification of the same signatures, over `blocks` blocks."""

    def __init__(self) -> None:
        self.blocks = 0
        self.ledger_s = 0.0
        self.ledger_cpu_s = 0.0  # of this process alone
        self.bare_s = 0.0

    def add(self, other: Spent) -> None:
        """What `other` spent besides."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def ratio(self) -> float:
        """How fast against bare verification."""
        return self.bare_s / self.ledger_s


class Load:
    """Anchors of one gateway for a node, in batches as they come from a broker."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._source = random.Random(1)
        self._gateway = PrivateKey.from_seed(bytes(32))
        self._origin = checkpoint.gateway_name(self._gateway.public)
        self._size = 0
        grant = message.sign_grant(PrivateKey.from_seed(bytes(range(32))), self._gateway.public, 1)
        node.gateways.learn(grant)

    def run(self, blocks: int) -> Spent:
        """Take in and confirm so many blocks more."""
        spent = Spent()
        verify = self._gateway.public.verify
        while spent.blocks < blocks:
            for _ in range(BATCHES_A_TICK):
                raws = self._batch()
                pairs = [
                    (one.signature, one.signed_bytes)
                    for one in (block.parse(r).signed for r in raws)
                ]
                start = time.perf_counter()
                for signature, signed in pairs:
                    verify(signature, signed)
                middle, cpu = time.perf_counter(), time.process_time()
                answers = self.node.submit(raws)
                end = time.perf_counter()
                spent.ledger_cpu_s += time.process_time() - cpu
                if any(one.receipt.state is not State.ATTACHED for one in answers):
                    raise AssertionError(answers[0].receipt.detail)
                spent.bare_s += middle - start
                spent.ledger_s += end - middle
                spent.blocks += len(raws)
            start, cpu = time.perf_counter(), time.process_time()
            self.node.tick()
            spent.ledger_s += time.perf_counter() - start
            spent.ledger_cpu_s += time.process_time() - cpu
        return spent

    def _batch(self) -> list[bytes]:
        """A batch of anchors that chose among the tips offered before it."""
        tips = self.node.tips()
        made: list[bytes] = []
        for _ in range(BATCH_MESSAGES):
            self._size += 1
            note = checkpoint.sign(self._gateway, self._origin, self._size, bytes(32))
            parents = self._source.sample(tips, min(len(tips), 4))
            made.append(block.sign(self._gateway, parents, NOW, BlockKind.ANCHOR, note))
        return made


@contextmanager
def fresh_node(folder: Folder) -> Iterator[Node]:
    """A node without allowances: its speed is what is measured."""
    with Store.writing(folder.database) as store:
        unlimited = partial(Writers, rate=UNLIMITED, stranger_rate=UNLIMITED)
        yield Node(store, folder.key(), lambda: NOW, unlimited)


def proof_bytes(node: Node, size: int) -> int:
    """Bytes of `confirmed` for an anchor with four parents in a tree of `size` blocks: the longest path there is."""
    key = PrivateKey.from_seed(bytes(32))
    origin = checkpoint.gateway_name(key.public)
    parents = [bytes([n]) * 32 for n in range(4)]
    note = checkpoint.sign(key, origin, size, bytes(32))
    anchor: Block = block.parse(block.sign(key, parents, NOW, BlockKind.ANCHOR, note))
    stone = parse_milestone(sign(key, node.id, size, parents, NOW, size - 9, size, bytes(32)))
    path = tuple(bytes([n]) * 32 for n in range((size - 1).bit_length()))
    return len(Confirmed(anchor, size - 5, path, stone).encode())


def idle_receipts() -> list[float]:
    """Intervals from submission to the confirmed receipt, with a real ledger and a real broker, nothing else to do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name) / "ledger")
        folder.create("bench", int(time.time()))
        names = topics.Ledger(folder.ledger())
        with Broker(Path(name) / "broker") as broker, service(folder, broker.port):
            return _receipts(names, broker.port)


@contextmanager
def service(folder: Folder, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tally-ledger run` over the folder."""
    argv = [sys.executable, "-m", "tallystick_ledger", "run", "--dir", str(folder.path)]
    argv += ["--broker", f"{LOOPBACK}:{port}", "--interval", str(INTERVAL_S), *options]
    log = folder.path.with_suffix(".log")
    with log.open("wb") as said, subprocess.Popen(argv, stderr=said) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


def _receipts(names: topics.Ledger, port: int) -> list[float]:
    tips: list[bytes] = []
    confirmed: dict[bytes, float] = {}

    def on_message(_: object, __: object, got: paho.MQTTMessage) -> None:
        if got.topic == names.tips:
            value = cbor.decode(bytes(got.payload))
            tips[:] = (
                [one for one in value if isinstance(one, bytes)] if isinstance(value, list) else []
            )
            return
        answer = receipt.parse(bytes(got.payload))
        if answer.state is State.CONFIRMED:
            confirmed[answer.block] = time.perf_counter()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect(LOOPBACK, port)
    client.subscribe([(names.tips, 1), (names.receipts, 1)])
    client.loop_start()
    try:
        wait(lambda: bool(tips))
        source = random.Random(2)
        key = PrivateKey.from_seed(bytes(32))
        origin = checkpoint.gateway_name(key.public)
        found: list[float] = []
        for size in range(1, RECEIPTS + 1):
            note = checkpoint.sign(key, origin, size, bytes(32))
            raw = block.sign(key, tips[:2], NOW, BlockKind.ANCHOR, note)
            started = time.perf_counter()
            client.publish(names.submit, raw, qos=1)
            name = block.block_id(raw)
            wait(partial(confirmed.__contains__, name))
            found.append((confirmed[name] - started) / INTERVAL_S)
            time.sleep(source.uniform(0, INTERVAL_S))
        return found
    finally:
        client.disconnect()
        client.loop_stop()


def wait(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Until `condition` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def figures() -> list[Figure]:
    """Blocks a second, against bare verification; the receipt when idle; the proof in a million blocks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name) / "ledger")
        folder.create("bench", NOW)
        with fresh_node(folder) as node:
            spent = Load(node).run(BLOCKS)
            proof = proof_bytes(node, MILLION)
    receipts = idle_receipts()
    rate = round(spent.blocks / spent.ledger_s)
    return [
        Figure.at_least("blocks attached and confirmed", rate, "a second", SECOND_BAR),
        Figure.at_least("the same", round(spent.ratio, 2), "of bare verify", BARE_BAR),
        Figure.at_most(
            "submit to receipt, idle", round(max(receipts), 2), "intervals", LATENCY_BAR
        ),
        Figure("the same, half of them", round(median(receipts), 2), "intervals", "", True),
        Figure.at_most("proof of an anchor in 10^6 blocks", proof, "bytes", PROOF_BAR),
    ]
