"""A gateway's worst week in some minutes: kills, broker restarts, full disks, torn writes, frozen peers, all
under load (`make test-faults`).

After every kill the database must hold what was acknowledged before it. At the end every record is there
exactly once and in order, every checkpoint that was ever shown fits the last tree, and fsck finds nothing.
Everything is drawn from the seed; what the machine makes of it in time is not.

A full disk is a limit on the size of files that the running process gets from outside (prlimit): a write
is cut off in the middle, and every one after it fails, until the limit is lifted. A torn write is what a
power cut makes of bytes that were on their way: half a frame at the end of SQLite's WAL, tiles cut off,
half a temporary file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import checkpoint, merkle, message, record, topics
from tallystick.body import Channel, Open, Readings
from tallystick.chain import Chain
from tallystick.checkpoint import ledger_name
from tallystick.did import did_key
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_gateway.folder import Folder
from tallystick_gateway.mark import read_mark
from tallystick_gateway.store import DeviceLinks, Store
from tools.fleet import Player, read_heard, write_boards
from tools.parts import LOOPBACK, Broker, BrokerError

__all__ = ["GATEWAY", "Faults", "FaultsError", "main", "signed_boards", "write_enrolment"]

BOARDS: Final = 50
RECORDS_A_KILL: Final = 6  # of each board
RATE: Final = 400.0  # records a second of all boards
GATEWAY: Final = [sys.executable, "-m", "tallystick_gateway"]
BROKER: Final = "max_inflight_messages 500\nmax_queued_messages 0\nautosave_on_changes false\nautosave_interval 1\n"
_LAST_WAIT_S: Final = 300.0
_BROKER_ATTEMPTS: Final = 5
_UNLIMITED: Final = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class FaultsError(Exception):
    """Something that must hold does not."""


class Faults:
    """One run in `folder`: `kills` kills of the gateway and the other faults between them."""

    def __init__(self, folder: Path, *, seed: int, kills: int, boards: int = BOARDS) -> None:
        self._folder, self._seed, self._kills = folder, seed, kills
        self._chance = random.Random(seed)
        self._data = Folder(folder / "gateway")
        self._errors = folder / "gateway.log"
        self._heard = folder / "heard.cbor"
        self._gateway: subprocess.Popen[bytes] | None = None
        self._boards = signed_boards(boards, max(20, RECORDS_A_KILL * kills))
        self._shown: list[bytes] = []
        self._acked: dict[bytes, int] = {}
        self._roots: dict[int, bytes] = {}  # that acknowledgements named, by size
        self._raws = {key.public.kid: raws for key, raws in self._boards}
        self._read = 0
        self._said = 0  # bytes in the log before the last start
        self.counts: Counter[str] = Counter()

    def run(self, tell: Callable[[str], None]) -> dict[str, Any]:
        """Do it; facts for JSON. `FaultsError` says what does not hold."""
        self._prepare()
        with Broker(self._folder / "broker", config=BROKER) as broker:
            self._broker = broker
            client = self._listen()
            self._start()
            player = Player(
                self._folder / "records.cbor",
                broker.port,
                *("--heard", str(self._heard), "--rate", str(RATE), "--resend", "1.5"),
                *("--seconds", str(3_600 + _LAST_WAIT_S)),
            )
            try:
                player.go()
                while self.counts["kill"] < self._kills:
                    self._fault()
                    tell(f"{self.counts['kill']}/{self._kills} kills, {dict(self.counts)}")
                self._calm()
                self._wait_for_all(player)
                facts = player.facts()
            finally:
                player.close()
                self._end(signal.SIGTERM)
                client.disconnect()
                client.loop_stop()
        if not facts["whole"]:
            raise FaultsError(f"only {facts['acknowledged']} records were acknowledged")
        return self._judge() | {"faults": dict(self.counts), "sent": facts["sent"]}

    # ---- what happens

    def _fault(self) -> None:
        time.sleep(self._chance.uniform(0.02, 0.8))
        what = self._chance.choices(
            [
                "kill",
                "stop",
                "broker stop",
                "broker kill",
                "full disk",
                "frozen gateway",
                "frozen broker",
            ],
            [70, 4, 5, 5, 8, 4, 4],
        )[0]
        if what == "kill":
            self._kill()
        elif what == "stop":
            self._end(signal.SIGTERM)
            self._start()
        elif what == "broker stop":
            self._broker.stop()
            self._broker_again()
        elif what == "broker kill":
            self._broker.kill()
            self._broker_again()
        elif what == "full disk":
            self._fill_disk()
        elif what == "frozen gateway" and self._gateway is not None:
            self._freeze(self._gateway.pid)
        elif self._broker.pid is not None:
            self._freeze(self._broker.pid)
        self.counts[what] += what != "kill"

    def _broker_again(self) -> None:
        """Start it; a machine that is busy with something else may need more than one attempt."""
        time.sleep(self._chance.uniform(0, 0.5))
        for attempt in range(_BROKER_ATTEMPTS):
            try:
                self._broker.start()
            except BrokerError:
                if attempt == _BROKER_ATTEMPTS - 1:
                    raise
            else:
                return

    def _kill(self) -> None:
        self._end(signal.SIGKILL)
        self.counts["kill"] += 1
        self._all_acknowledged_is_there()
        if self._chance.random() < 0.4:
            self._tear()
        self._start()

    def _fill_disk(self) -> None:
        """For a while no file grows beyond some size; often the power goes with it."""
        if self._gateway is None:
            return
        largest = max((p.stat().st_size for p in self._data.path.glob("gateway.db*")), default=0)
        limit = self._chance.choice([0, largest, largest + self._chance.randrange(1, 60_000)])
        resource.prlimit(self._gateway.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        time.sleep(self._chance.uniform(0.2, 1.5))
        if self._chance.random() < 0.5:
            self._kill()
        elif self._gateway.poll() is None:
            resource.prlimit(self._gateway.pid, resource.RLIMIT_FSIZE, _UNLIMITED)
        else:  # it was still opening its database; its unit would start it again
            self.counts["start on a full disk"] += 1
            self._start()

    def _freeze(self, pid: int) -> None:
        """A peer that holds its connections and says nothing."""
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self._chance.uniform(0.2, 1.5))
        finally:
            os.kill(pid, signal.SIGCONT)

    def _tear(self) -> None:
        """What a power cut does to bytes on their way."""
        self.counts["torn write"] += 1
        wal = self._data.path / "gateway.db-wal"
        if wal.exists() and self._chance.random() < 0.5:
            with wal.open("ab") as file:
                file.write(self._chance.randbytes(self._chance.randrange(1, 4_120)))
        derived = sorted(p for p in self._data.log.rglob("*") if p.is_file() and self._loose(p))
        for path in self._chance.sample(derived, min(5, len(derived))):
            data = path.read_bytes()
            if self._chance.random() < 0.5:
                path.write_bytes(data[: self._chance.randrange(len(data) + 1)])
            else:
                path.with_name(f".{path.name}.new").write_bytes(data[: len(data) // 2])

    def _loose(self, path: Path) -> bool:
        """May a power cut take this file? Full tiles below the mark are on the disk."""
        where = path.relative_to(self._data.log).parts
        if where[0] != "tile" or where[-2].endswith(".p") or path.name.startswith("."):
            return True
        level = 0 if where[1] == "entries" else int(where[1])
        n = int("".join(where[2:]).replace("x", ""))
        mark = read_mark(self._data.log)
        return mark is None or (n + 1) << 8 * (level + 1) > mark.size

    def _calm(self) -> None:
        """No more faults."""
        if self._gateway is None or self._gateway.poll() is not None:
            self._start()
        elif self._gateway is not None:
            resource.prlimit(self._gateway.pid, resource.RLIMIT_FSIZE, _UNLIMITED)
        # everything may be acknowledged already, and the last start still be putting back what was torn
        self._wait_for_start()

    def _wait_for_all(self, player: Player) -> None:
        deadline = time.monotonic() + _LAST_WAIT_S
        while player.running and time.monotonic() < deadline:
            if self._gateway is None or self._gateway.poll() is not None:
                raise FaultsError(f"the gateway has ended: {self._last_words()}")
            time.sleep(0.1)
        if player.running:
            raise FaultsError("not everything is acknowledged in the time that is left")
        newest = sum(len(raws) for _, raws in self._boards)
        while self._signed_size() < newest:
            if time.monotonic() > deadline:
                raise FaultsError(f"no checkpoint of all {newest} records: {self._last_words()}")
            time.sleep(0.1)

    # ---- processes

    def _prepare(self) -> None:
        subprocess.run(
            [*GATEWAY, "init", "--dir", self._data.path], check=True, capture_output=True
        )
        write_enrolment(self._data, [key for key, _ in self._boards])
        write_boards(
            self._folder / "records.cbor", [(key.public.kid, raws) for key, raws in self._boards]
        )
        self._identity = self._data.identity()

    def _start(self) -> None:
        ledger = VerifierKey(ledger_name(bytes(8)), PrivateKey.from_seed(bytes(32)).public)
        with self._errors.open("ab") as errors:
            self._said = errors.tell()
            self._gateway = subprocess.Popen(
                [
                    *(*GATEWAY, "run", "--dir", str(self._data.path)),
                    *("--broker", f"{LOOPBACK}:{self._broker.port}", "--ledger", str(ledger)),
                    *("--settle", "0.3", "--checkpoint-interval", "0.2"),
                ],
                stderr=errors,
                stdout=subprocess.DEVNULL,
            )
        # as often in the middle of the start as after it
        if self._chance.random() < 0.7:
            self._wait_for_start()

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + 30
        while b'"connected"' not in self._errors.read_bytes()[self._said :]:
            if self._gateway is None or self._gateway.poll() is not None:
                raise FaultsError(f"the gateway does not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise FaultsError("the gateway does not connect")
            time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        if self._gateway is not None:
            self._gateway.send_signal(how)
            self._gateway.wait(30)
            self._gateway = None

    def _last_words(self) -> str:
        return self._errors.read_text(errors="replace")[-1_500:]

    def _listen(self) -> paho.Client:
        """Keep every checkpoint that is ever shown."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        topic = topics.Gateway(self._identity.id).checkpoint
        client.on_connect = lambda c, *_: c.subscribe(topic, 1)
        client.on_message = lambda _c, _u, got: self._shown.append(bytes(got.payload))
        client.reconnect_delay_set(1, 1)
        client.connect(LOOPBACK, self._broker.port)
        client.loop_start()
        return client

    # ---- what must hold

    def _hear(self) -> None:
        """Read what the boards have heard since the last time."""
        heard = list(read_heard(self._heard)) if self._heard.exists() else []
        for _, payload in heard[self._read :]:
            said = message.parse_acknowledgement(payload)
            said.signed.verify(self._identity.key.public)
            if said.upto is not None:
                raws = self._raws[said.device]
                if record.parse(raws[said.upto]).id != said.id:
                    raise FaultsError(f"an acknowledgement names another record {said.upto}")
                self._acked[said.device] = max(self._acked.get(said.device, -1), said.upto)
            self._roots[said.size] = said.root
        self._read = len(heard)

    def _all_acknowledged_is_there(self) -> None:
        """Persist, then acknowledge: what a board was told before the kill is on disk after it."""
        self._hear()
        store = Store.open(self._data.database)
        try:
            for device, upto in self._acked.items():
                row = store.device(device)
                if row is None or row.state is None:
                    raise FaultsError(f"device {device.hex()} was acknowledged and is not there")
                held = Chain.load(row.state, DeviceLinks(store, device)).upto
                if held is None or held < upto:
                    raise FaultsError(
                        f"device {device.hex()}: {upto} was acknowledged, {held} is there"
                    )
        finally:
            store.close()

    def _signed_size(self) -> int:
        store = Store.read(self._data.database)
        try:
            newest = store.newest_checkpoint(self._identity.origin)
            return newest.size if newest else 0
        finally:
            store.close()

    def _judge(self) -> dict[str, Any]:
        self._hear()
        store = Store.read(self._data.database)
        leaves = store.entries(0, store.size())
        wanted = sorted(raw for _, raws in self._boards for raw in raws)
        if sorted(leaves) != wanted:
            raise FaultsError(f"{len(leaves)} leaves for {len(wanted)} records")
        for key, raws in self._boards:
            rows = store.rows(key.public.kid, 0, len(raws), len(raws) + 1)
            if [raw for _, _, raw in rows] != list(raws):
                raise FaultsError(f"the chain of {key.public.kid.hex()} is not what was sent")
        store.close()
        checkpoints = self._check_checkpoints([merkle.leaf_hash(leaf) for leaf in leaves])
        left = [p for p in self._data.path.rglob(".*.new") if p.is_file()]
        ended = subprocess.run(
            [*GATEWAY, "fsck", "--json", "--dir", self._data.path], capture_output=True, check=False
        )
        if ended.returncode:
            raise FaultsError(f"fsck: {ended.stdout.decode()[-800:]}{ended.stderr.decode()[-400:]}")
        if left:
            raise FaultsError(f"left behind: {left[:3]}")
        return {"records": len(leaves), "acknowledgements": self._read, "checkpoints": checkpoints}

    def _check_checkpoints(self, hashes: list[bytes]) -> int:
        """Every checkpoint that anyone saw has the root of the leaves as they are now."""
        roots = dict(self._roots)
        for raw in filter(None, self._shown):
            shown = checkpoint.parse(raw)
            shown.verify(self._identity.verifier)
            if roots.setdefault(shown.size, shown.root) != shown.root:
                raise FaultsError(f"two roots were shown for size {shown.size}")
        stack: list[bytes] = []
        for size in range(len(hashes) + 1):
            if size:
                at, subtree = size - 1, hashes[size - 1]
                while at & 1:
                    subtree = merkle.node_hash(stack.pop(), subtree)
                    at >>= 1
                stack.append(subtree)
            if size in roots:
                root = stack[-1] if stack else merkle.EMPTY_ROOT
                for left in reversed(stack[:-1]):
                    root = merkle.node_hash(left, root)
                if root != roots.pop(size):
                    raise FaultsError(f"the checkpoint of size {size} does not fit the last tree")
        if roots:
            raise FaultsError(f"a checkpoint of size {max(roots)} was shown, which is too large")
        return len({checkpoint.parse(raw).size for raw in filter(None, self._shown)})


def signed_boards(boards: int, records: int) -> list[tuple[PrivateKey, list[bytes]]]:
    """What the boards will send."""
    made = []
    opened = Open(1, "1.0.0", bytes(16), 2, None, (Channel("temp", "Cel", -2),), 1000)
    for number in range(boards):
        key = PrivateKey.from_seed(number.to_bytes(32, "big"))
        prev, raws = record.genesis(key.public), []
        for seq in range(records):
            body = Readings(0, 0, ((2_000 + seq % 50,),)) if seq else opened
            raws.append(record.sign(key, seq, prev, 1_795_242_134 + seq, body))
            prev = record.parse(raws[-1]).id
        made.append((key, raws))
    return made


def write_enrolment(folder: Folder, keys: list[PrivateKey]) -> None:
    """Let these boards speak."""
    devices = [
        {"id": key.public.kid.hex(), "did": did_key(key.public), "name": None, "credential": None}
        for key in keys
    ]
    folder.enrolment.write_text(json.dumps({"version": 1, "grant": None, "devices": devices}))


def main() -> int:
    """Run it; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description="kill a gateway under load, and look")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--boards", type=int, default=BOARDS)
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it")
    given = parser.parse_args()
    last = [0.0]

    def tell(text: str) -> None:
        terminal = sys.stderr.isatty()
        if terminal or time.monotonic() > last[0] + 20:
            last[0] = time.monotonic()
            print(f"\r{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr)

    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            facts = Faults(folder, seed=given.seed, kills=given.kills, boards=given.boards).run(
                tell
            )
        except (FaultsError, TallystickError) as error:
            print(f"error: seed {given.seed}: {error}", file=sys.stderr)
            return 1
    print(json.dumps({"seed": given.seed} | facts))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
