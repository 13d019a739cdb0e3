"""The log at its sizes: append, index, proof, restart, memory.

Leaves are fed to the database and the log directly, as the writer does it in batches, with bytes of a
record's length in place of records (ten million signatures would measure the signer). Then a real
gateway is started on that folder, and one real record of every device taken in.

    python -m bench.gateway_size --leaves 10000000 [--folder DIR]     (3 GB of disk, some 15 minutes)
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.figure import Figure
from bench.gateway_load import BROKER, GATEWAY, enrol, ledger_line
from tallystick import checkpoint, merkle, record, topics
from tallystick.body import Channel, Kind, Open, Readings
from tallystick.chain import Chain, Link, Result
from tallystick.cose import Signed
from tallystick.did import did_key
from tallystick.keys import PrivateKey
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.folder import Folder
from tallystick_gateway.log import Log
from tallystick_gateway.rows import DeviceRow, StoredCheckpoint
from tallystick_gateway.store import Store
from tallystick_gateway.tiles import Tiles
from tools.parts import LOOPBACK, Broker, free_port

DEFAULT_LEAVES = 100_000
FULL_LEAVES = 10_000_000
DEVICES = 10_000
BATCH = 512
CHECKPOINT_EVERY = 20  # batches
SMALL = 10_000
WINDOW = (
    bounds.INDEX_TAIL
)  # leaves over which a speed is taken: all of the index is written once in it
BYTES_A_LEAF = 450  # database, tiles and bundles on disk
RAW_BYTES = 149  # of a record with one reading of two channels
START = 1_795_242_134

GROWTH_BAR = 1.3
INDEX_BAR_US = 40.0
PROOF_BAR_MS = 2.0
RESTART_BAR_S = 3.0
MEMORY_BAR_MB = 250.0


def figures() -> list[Figure]:
    """At the size that every run can afford."""
    with tempfile.TemporaryDirectory() as name:
        return measure(Path(name), DEFAULT_LEAVES)


def measure(folder: Path, leaves: int) -> list[Figure]:
    """Grow a gateway's folder to `leaves`, then use it."""
    free = shutil.disk_usage(folder).free
    if free < leaves * BYTES_A_LEAF * 1.2:
        raise SystemExit(
            f"error: {leaves} leaves need {leaves * BYTES_A_LEAF * 1.2 / 1e9:.1f} GB of disk,"
            f" {free / 1e9:.1f} GB are free at {str(folder)!r}\nhint: --folder DIR on another disk"
        )
    grown = Growing(folder / "gateway", leaves)
    grown.run()
    tag = f"{leaves:.0e}".replace("e+0", "e")
    return [
        Figure.at_most(
            f"append at {tag} leaves",
            round(grown.late.in_log / grown.early.in_log, 2),
            *("of that at 1e4", GROWTH_BAR),
        ),
        Figure(
            "the same, a processor's time",
            round(grown.late.processor_in_log / grown.early.processor_in_log, 2),
            *("of that at 1e4", "", True),
        ),
        Figure.at_most(
            f"append and index at {tag}",
            *(round(grown.late.whole * 1e6, 1), "us a record", INDEX_BAR_US),
        ),
        Figure(
            "the same, a processor's time",
            *(round(grown.late.processor * 1e6, 1), "us a record", "", True),
        ),
        Figure(f"memory of the log, 1e4 to {tag}", grown.memory_mb, "MB more", "", True),
        Figure.at_most(
            f"inclusion proof at {tag}", round(proof_ms(grown), 2), "ms, from tiles", PROOF_BAR_MS
        ),
        *_restart(grown, tag),
    ]


@dataclass
class _Spent:
    """Seconds: for the log alone, with the index, and of both those that a processor worked."""

    in_log: float = 0.0
    whole: float = 0.0
    processor: float = 0.0
    processor_in_log: float = 0.0

    def each(self, records: int) -> _Spent:
        """The same for one of so many records."""
        spent = (self.in_log, self.whole, self.processor, self.processor_in_log)
        return _Spent(*(seconds / records for seconds in spent))


class Growing:
    """A gateway's folder that grows as its writer would make it grow."""

    def __init__(self, path: Path, leaves: int) -> None:
        self.folder, self.leaves = Folder(path), leaves
        self.keys = [PrivateKey.from_seed(n.to_bytes(32, "big")) for n in range(DEVICES)]
        self.ids = [key.public.kid for key in self.keys]
        self.heads: dict[int, Record] = {}
        self.early = self.late = _Spent()
        self.memory_mb = 0.0

    def run(self) -> None:
        self.identity = self.folder.make_key()
        self.store = Store.open(self.folder.database)
        self.store.set_fact("origin", self.identity.origin)
        self.log = Log.open(self.folder.log, self.store.entries, 0)
        self._signed: StoredCheckpoint | None = None
        batches = self._batches()
        self._spend(batches, SMALL)
        self.early = self._spend(batches, SMALL + WINDOW)
        memory = _resident_mb(os.getpid())
        self._spend(batches, self.leaves - WINDOW)
        self.late = self._spend(batches, self.leaves)
        self.memory_mb = round(_resident_mb(os.getpid()) - memory, 1)
        self._devices()
        self._sign()
        self.store.close()

    def _spend(self, batches: Iterator[list[tuple[bytes, Record]]], upto: int) -> _Spent:
        """Grow to `upto` leaves; what a record has cost."""
        first, spent, count = self.log.size, _Spent(), 0
        while self.log.size < upto:
            batch = next(batches)
            started, began = time.perf_counter(), time.process_time()
            size = self.log.size
            with self.store.transaction():
                for at, (device, one) in enumerate(batch):
                    self.store.add_leaf(size + at, device, one, Result.ADMITTED)
            between, worked = time.perf_counter(), time.process_time()
            self.log.append([one.raw for _, one in batch])
            ended, done = time.perf_counter(), time.process_time()
            spent.processor_in_log += done - worked
            spent.in_log += ended - between
            spent.whole += ended - started
            spent.processor += done - began
            count += 1
            if count % CHECKPOINT_EVERY == 0:
                self._sign()
            if sys.stderr.isatty() and count % 200 == 0:
                print(f"\r{self.log.size:,} leaves", end="", file=sys.stderr)
        return spent.each(max(1, self.log.size - first))

    def _batches(self) -> Iterator[list[tuple[bytes, Record]]]:
        """Records of all devices in turn; their bytes are of the right length and not signed."""
        opened = Open(
            1, "1.0.0", bytes(16), 2, None, (Channel("t", "Cel", -2), Channel("h", "%RH", -2)), 1000
        )
        body = Readings(0, 0, ((2000,), (4000,)))
        turn, chance, batch = 0, random.Random(1), []
        while True:
            for device in range(DEVICES):
                before = self.heads.get(device)
                prev = before.id if before else record.genesis(self.keys[device].public)
                time_ = START + turn
                if not turn or self.log.size + DEVICES + 3 * BATCH >= self.leaves:
                    # the opens, the heads and what a start reads again are real
                    says = body if turn else opened
                    made = record.parse(record.sign(self.keys[device], turn, prev, time_, says))
                else:
                    raw = chance.randbytes(RAW_BYTES)
                    signed = Signed(raw, -19, self.ids[device], 65000, b"", raw[:100], b"")
                    made = Record(signed, turn, prev, time_, Kind.READINGS, body)
                self.heads[device] = made
                batch.append((self.ids[device], made))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            turn += 1

    def _devices(self) -> None:
        """The devices' rows, as the records would have left them."""
        with self.store.transaction():
            for at, head in self.heads.items():
                key = self.keys[at].public
                chain = Chain(key)
                # the last batch may have left out the last devices' newest record
                while self.store.place(key.kid, head.seq) is None:
                    head = replace(head, seq=head.seq - 1)  # noqa: PLW2901
                chain.top = head.seq
                self.store.put_devices([DeviceRow(key.kid, did_key(key), chain.dump(), START)])

    def _sign(self) -> None:
        if self._signed is not None and self._signed.size == self.log.size:
            return
        self.log.publish()
        note = checkpoint.parse(
            checkpoint.sign(self.identity.key, self.identity.origin, self.log.size, self.log.root())
        )
        self.store.put_checkpoint(note, self._signed, START)
        self._signed = StoredCheckpoint(note.size, note.root, note.raw)

    def link(self, store: Store, device: int) -> tuple[int, Link]:
        """Seq and link of a device's head."""
        row = store.device(self.ids[device])
        assert row is not None
        assert row.state is not None
        top = Chain.load(row.state, _NoLinks()).top
        held = store.link(self.ids[device], top)
        assert held is not None
        return top, held


class _NoLinks:
    def get(self, seq: int) -> Link | None:
        return None

    def add(self, seq: int, link: Link) -> None:
        return


def proof_ms(grown: Growing) -> float:
    """Milliseconds for a path of a random leaf to the newest checkpoint; the mean of many, each
    checked.
    """
    store = Store.read(grown.folder.database)
    newest = store.newest_checkpoint(grown.identity.origin)
    assert newest is not None
    chance = random.Random(2)
    spent, count = 0.0, 100
    for _ in range(count):
        index = chance.randrange(newest.size)
        tiles = Tiles(grown.folder.log, store.entries)
        started = time.perf_counter()
        path = tiles.inclusion(index, newest.size)
        spent += time.perf_counter() - started
        raw = store.entries(index, index + 1)[0]
        merkle.verify_inclusion(merkle.leaf_hash(raw), index, newest.size, path, newest.root)
    store.close()
    return spent / count * 1e3


def _restart(grown: Growing, tag: str) -> list[Figure]:
    """Start the service on the folder, let every device say something, and weigh it."""
    enrol(grown.folder.path, {key: [] for key in grown.keys})
    http, log = free_port(), grown.folder.path.with_name("gateway.log")
    with (
        Broker(grown.folder.path.with_name("broker"), config=BROKER) as broker,
        log.open("wb") as errors,
    ):
        argv = [*GATEWAY, "run", "--dir", str(grown.folder.path), "--settle", "0"]
        argv += ["--broker", f"{LOOPBACK}:{broker.port}", "--ledger", ledger_line()]
        argv += ["--http", f"{LOOPBACK}:{http}"]
        took: list[float] = []
        memory = 0.0
        for _ in range(2):  # the first start checks the enrolment's keys
            started = time.perf_counter()
            gateway = subprocess.Popen(argv, stderr=errors)
            try:
                _serving(http)
                took.append(time.perf_counter() - started)
                if len(took) > 1:
                    _everybody_speaks(grown, broker.port)
                    memory = _resident_mb(gateway.pid)
            finally:
                gateway.terminate()
                gateway.wait(30)
    first, restart = took
    return [
        Figure(f"first start with {tag} records", round(first, 2), "s", "", True),
        Figure.at_most(f"restart with {tag} records", round(restart, 2), "s", RESTART_BAR_S),
        Figure.at_most(f"resident at {tag}, {DEVICES} devices", round(memory), "MB", MEMORY_BAR_MB),
    ]


def _serving(http: int) -> None:
    """Return when the gateway answers and takes records."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"http://{LOOPBACK}:{http}/healthz", timeout=5)
            if answer.json()["state"] == "running":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise RuntimeError("the gateway does not serve")


def _everybody_speaks(grown: Growing, port: int) -> None:
    """One real record of every device, taken in; one connection carries them all."""
    store = Store.read(grown.folder.database)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="everybody")
    client.max_inflight_messages_set(500)
    client.connect(LOOPBACK, port)
    client.loop_start()
    for device, key in enumerate(grown.keys):
        top, head = grown.link(store, device)
        raw = record.sign(key, top + 1, head.id, START + top + 1, Readings(0, 0, ((1,), (1,))))
        client.publish(topics.Device(grown.ids[device]).up, raw, qos=1)
    deadline = time.monotonic() + 180
    while store.counters().get("admitted", 0) < len(grown.keys):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not every device was taken in: {store.counters()}")
        time.sleep(0.1)
    store.close()
    client.disconnect()
    client.loop_stop()


def _resident_mb(pid: int) -> float:
    """What /proc says of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def main() -> int:
    """Print the figures at any size; 1 if one falls short."""
    parser = argparse.ArgumentParser(description="the gateway's log at a given size")
    parser.add_argument("--leaves", type=int, default=FULL_LEAVES)
    parser.add_argument("--folder", type=Path, help="where; removed afterwards")
    given = parser.parse_args()
    least = SMALL + 2 * WINDOW
    if given.leaves < least:
        parser.error(f"at least {least} leaves")
    short = 0
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for figure in measure(Path(name), given.leaves):
            short += not figure.ok
            print(f"{figure.name:44} {figure.value:g} {figure.unit:24} {figure.bar}", flush=True)
    return 1 if short else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
