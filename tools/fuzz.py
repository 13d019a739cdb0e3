"""A gateway among strangers: malformed, oversized, forged and replayed messages on every topic that it
hears, beside honest boards (`make fuzz-gateway`).

The honest boards send their records twice, on two fresh gateways: once alone, once under attack. What must
hold: the gateway does not end and does not stumble, its memory stays bounded, the honest traffic keeps
at least half of its rate, every honest record is there exactly once, and fsck finds nothing. The attacker has the
topics and the captured messages of every board, and no key.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import topics
from tallystick.checkpoint import ledger_name
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_gateway.folder import Folder
from tallystick_gateway.store import Store
from tools.faults import GATEWAY, FaultsError, signed_boards, write_enrolment
from tools.fleet import Player, write_boards
from tools.parts import LOOPBACK, Broker

BOARDS: Final = 60
RECORDS: Final = 80
STRANGE_RATE: Final = 500.0  # strange messages a second
MEMORY_MB: Final = 250.0
HONEST_BAR: Final = 0.5
LEDGER: Final = PrivateKey.from_seed(bytes(32))
LEDGER_ID: Final = bytes(8)
_BROKER: Final = (
    "max_inflight_messages 500\nmax_queued_messages 0\n"
    "autosave_on_changes false\nautosave_interval 1800\n"
)


def strange(
    chance: random.Random, boards: list[tuple[bytes, list[bytes]]], gateway: bytes
) -> Iterator[tuple[str, bytes]]:
    """Topics and payloads without end, drawn from `chance`."""
    ledger, own = topics.Ledger(LEDGER_ID), topics.Gateway(gateway)
    others = [
        *(own.checkpoint, own.grant, own.state, ledger.tips, ledger.milestone, ledger.checkpoint),
        *(ledger.receipt(bytes(32)), ledger.anchor(gateway), ledger.receipt(chance.randbytes(32))),
        *(own.update, own.offer),
    ]
    while True:
        device, raws = chance.choice(boards)
        raw = bytearray(chance.choice(raws))
        topic = topics.Device(device).up
        match chance.randrange(12):
            case 0 | 1:  # replayed
                yield topic, bytes(raw)
            case 2 | 3:  # a bit changed, somewhere
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
                yield topic, bytes(raw)
            case 4:  # forged: the signature is made up
                yield topic, bytes(raw[:-64]) + chance.randbytes(64)
            case 5:  # cut off, or with something behind
                cut = chance.randrange(len(raw))
                yield (
                    topic,
                    bytes(raw[:cut])
                    if chance.random() < 0.5
                    else bytes(raw) + chance.randbytes(cut + 1),
                )
            case 6:  # on another board's topic, or on that of nobody
                to = chance.choice(boards)[0] if chance.random() < 0.5 else chance.randbytes(8)
                yield topics.Device(to).up, bytes(raw)
            case 7:  # noise
                yield topic, chance.randbytes(chance.randrange(600))
            case 8:  # nested deeply, or promising gigabytes
                yield (
                    topic,
                    chance.choice(
                        [
                            b"\x81" * 3_000,
                            b"\x9b" + b"\xff" * 8,
                            b"\x5b\x7f" + b"\xff" * 7,
                            b"\xd2" * 900,
                        ]
                    ),
                )
            case 9:  # far too long, now and then
                size = chance.choice(
                    [4_097, 4_097, 20_000, 70_000, 400_000 if chance.random() < 0.1 else 5_000]
                )
                yield topic, bytes(raw) + bytes(size)
            case 10:  # topics that are not those of records
                board = topics.Device(device)
                mine = (board.state, board.want, board.update_state)
                yield (
                    chance.choice([*others, *mine]),
                    chance.choice([bytes(raw), *_words(chance)]),
                )
            case _:  # names that do not parse
                name = chance.choice(["ABCDEF0123456789", "0", "ü" * 16, "0123456789abcdef/x", ""])
                yield f"tallystick/v1/{name}/up", bytes(raw)


def _words(chance: random.Random) -> list[bytes]:
    """What is nearly right on some topic: pieces of updates, offers, wants, states."""
    data = chance.randbytes(chance.randrange(300))
    whole = len(data).to_bytes(4, "big")
    return [
        *(b"", b"{}", b"a\n1\n\n", chance.randbytes(200), b"[" * 5_000, b"\xff\xfe"),
        *(b"ready", b"lost\n1795242134\nfor good", b"ready\n" + b"9" * 400),
        sha256(data).digest() + whole + bytes(4) + data,
        chance.randbytes(32) + whole + chance.randbytes(4) + data,
        chance.randbytes(32) + b"\xff" * 8 + data,
        *(b"%s 0 100" % data[:32].hex().encode(), b"0" * 64 + b" 0 9999", b"0" * 64 + b" -1 1"),
        *(b'{"update": null, "devices": "all"}', b'{"update": [], "devices": {}}'),
        b'{"update": "%s", "devices": ["00", 1]}' % data[:32].hex().encode(),
        b'{"update": null, "devices": [%s]}' % b", ".join([b'"00"'] * 500),
    ]


def attack(
    port: int,
    seed: int,
    rate: float,
    boards: list[tuple[bytes, list[bytes]]],
    gateway: bytes,
    stop: Event,
    sent: Any,
) -> None:
    """Send strange messages, `rate` a second, until told to stop; a process of its own."""
    chance = random.Random(seed)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"strange-{seed}")
    client.connect(LOOPBACK, port)
    client.loop_start()
    source = strange(chance, boards, gateway)
    started, count = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - started) * rate) - count
        for _ in range(min(due, 200)):
            topic, payload = next(source)
            client.publish(topic, payload, qos=chance.randrange(2), retain=chance.random() < 0.05)
            count += 1
        sent.value = count
        time.sleep(0.01)
    client.loop_stop()


class Round:
    """One gateway with its honest boards, in a folder of its own."""

    def __init__(self, folder: Path, seed: int, boards: int, records: int) -> None:
        folder.mkdir(parents=True)
        self.folder, self.data, self.seed = folder, Folder(folder / "gateway"), seed
        self.errors = folder / "gateway.log"
        keys = signed_boards(boards, records)
        self.boards = [(key.public.kid, raws) for key, raws in keys]
        subprocess.run([*GATEWAY, "init", "--dir", self.data.path], check=True, capture_output=True)
        write_enrolment(self.data, [key for key, _ in keys])
        write_boards(folder / "records.cbor", self.boards)

    def run(self, rate: float) -> dict[str, Any]:
        """The honest boards' seconds, and what became of the gateway; `rate` strange messages a second."""
        ledger = VerifierKey(ledger_name(LEDGER_ID), LEDGER.public)
        with (
            Broker(self.folder / "broker", config=_BROKER) as broker,
            self.errors.open("wb") as errors,
        ):
            gateway = subprocess.Popen(
                [
                    *(*GATEWAY, "run", "--dir", str(self.data.path), "--ledger", str(ledger)),
                    *("--broker", f"{LOOPBACK}:{broker.port}", "--settle", "0.3"),
                ],
                stderr=errors,
                stdout=subprocess.DEVNULL,
            )
            try:
                return self._under_way(gateway, broker, rate)
            finally:
                gateway.kill()
                gateway.wait()

    def _under_way(
        self, gateway: subprocess.Popen[bytes], broker: Broker, rate: float
    ) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while b'"connected"' not in self.errors.read_bytes():
            if time.monotonic() > deadline or gateway.poll() is not None:
                raise FaultsError(f"the gateway does not start: {self._last_words()}")
            time.sleep(0.02)
        player = Player(self.folder / "records.cbor", broker.port, "--seconds", "300")
        stop, sent = multiprocessing.Event(), multiprocessing.Value("i", 0)
        args = (broker.port, self.seed, rate, self.boards, self.data.identity().id, stop, sent)
        stranger = multiprocessing.Process(target=attack, args=args, daemon=True)
        if rate:
            stranger.start()
        try:
            player.go()
            facts = player.facts()
        finally:
            player.close()
            stop.set()
            if rate:
                stranger.join(10)
        if not facts["whole"]:
            raise FaultsError(f"only {facts['acknowledged']} honest records: {self._last_words()}")
        self._settle(gateway)
        memory = _peak_mb(gateway.pid)
        gateway.terminate()
        if gateway.wait(30):
            raise FaultsError(f"the gateway ended badly: {self._last_words()}")
        return {
            "seconds": facts["seconds"],
            "memory_mb": memory,
            "strange": sent.value,
        } | self._judge()

    def _settle(self, gateway: subprocess.Popen[bytes]) -> None:
        """Let it deal with what is still on its way."""
        before = -1
        while True:
            if gateway.poll() is not None:
                raise FaultsError(f"the gateway has ended: {self._last_words()}")
            store = Store.read(self.data.database)
            now = sum(store.counters().values())
            store.close()
            if now == before:
                return
            before = now
            time.sleep(1.0)

    def _judge(self) -> dict[str, Any]:
        store = Store.read(self.data.database)
        leaves, counters = store.entries(0, store.size()), store.counters()
        store.close()
        if sorted(leaves) != sorted(raw for _, raws in self.boards for raw in raws):
            raise FaultsError(f"{len(leaves)} leaves are not what the honest boards sent")
        words = self.errors.read_text()
        if "stumbled" in words or "could not be" in words or "Traceback" in words:
            raise FaultsError(f"the gateway stumbled: {self._last_words()}")
        done = subprocess.run(
            [*GATEWAY, "fsck", "--dir", self.data.path], capture_output=True, check=False
        )
        if done.returncode:
            raise FaultsError(f"fsck: {done.stdout.decode()[-800:]}")
        return {"counters": counters}

    def _last_words(self) -> str:
        return self.errors.read_text(errors="replace")[-1_500:]


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise FaultsError("no VmHWM")


def fuzz(folder: Path, *, seed: int, boards: int, records: int, rate: float) -> dict[str, Any]:
    """Both rounds; `FaultsError` says what does not hold."""
    alone = Round(folder / "alone", seed, boards, records).run(0)
    among = Round(folder / "among", seed, boards, records).run(rate)
    kept = alone["seconds"] / among["seconds"]
    facts = {
        "seed": seed,
        "honest_records": boards * records,
        "strange_messages": among["strange"],
        "honest_rate_kept": round(kept, 2),
        "peak_memory_mb": round(among["memory_mb"]),
        "counters": among["counters"],
    }
    if among["memory_mb"] > MEMORY_MB:
        raise FaultsError(f"the gateway took {among['memory_mb']:.0f} MB: {facts}")
    if not among["counters"].get("rejected"):
        raise FaultsError(f"nothing strange has arrived: {facts}")
    return facts


def main() -> int:
    """Run it; 1 if something does not hold, the honest rate included."""
    parser = argparse.ArgumentParser(description="strangers at a gateway's door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--boards", type=int, default=BOARDS)
    parser.add_argument("--records", type=int, default=400, help="of each board")
    parser.add_argument(
        "--rate", type=float, default=STRANGE_RATE, help="strange messages a second"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            facts = fuzz(
                Path(name),
                seed=given.seed,
                boards=given.boards,
                records=given.records,
                rate=given.rate,
            )
        except (FaultsError, TallystickError) as error:
            print(f"error: seed {given.seed}: {error}", file=sys.stderr)
            return 1
    print(json.dumps(facts))
    if facts["honest_rate_kept"] < HONEST_BAR:
        print(f"error: honest traffic keeps less than {HONEST_BAR} of its rate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
