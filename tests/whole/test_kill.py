"""Power cuts everywhere, while readings go all the way.

If this fails, a user loses readings that were acknowledged, has some counted twice, or holds
checkpoints of one gateway that contradict each other.
"""

from __future__ import annotations

import random
import struct
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import checkpoint, merkle, message, policy, proof, record, topics, verify
from tallystick.errors import TallystickError
from tallystick.verdict import Outcome
from tools.parts import LOOPBACK
from tools.site import Site, command, wait_for

SEED = 20261121
KILLS = 56
BOARDS = {"cellar": 64, "roof": 32}
INTERVAL_MS = 250
PAUSE_S = (0.15, 1.1)  # between two kills
DOWN_S = (0.0, 0.5)  # how long the victim stays away
SETTLE_S = 60.0

# there are no statements and no status lists beside the proofs; not all is anchored yet
NOT_ASKED = {"credential.status", "device.status", "ledger.inclusion", "ledger.milestone"}


class Witness:
    """Listens to everything that is published, and remembers what may never be contradicted."""

    def __init__(self, port: int) -> None:
        self.signed: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)
        self.acknowledged: dict[bytes, int] = {}
        self.checkpoints: dict[int, set[bytes]] = defaultdict(set)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "witness", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.ROOT}/#", 1)
        self._client.on_message = lambda _client, _data, one: self._hear(
            one.topic, bytes(one.payload)
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(LOOPBACK, port)
        self._client.loop_start()

    def _hear(self, topic: str, payload: bytes) -> None:
        kind = topic.rpartition("/")[2]
        try:
            if kind == "up":
                one = record.parse(payload)
                self.signed[one.signed.kid, one.seq].add(one.id)
            elif kind == "ack":
                ack = message.parse_acknowledgement(payload)
                if ack.upto is not None:
                    before = self.acknowledged.get(ack.device, -1)
                    self.acknowledged[ack.device] = max(before, ack.upto)
            elif kind == "checkpoint" and "/gateway/" in topic:
                note = checkpoint.parse(payload)
                self.checkpoints[note.size].add(note.root)
        except TallystickError as error:
            raise AssertionError(f"{topic}: {error}") from error

    def close(self) -> None:
        """Stop listening."""
        self._client.disconnect()
        self._client.loop_stop()


def leaves(gateway: Path) -> list[bytes]:
    """All entries of the gateway's log, from the entry bundles on disk (C2SP tlog-tiles)."""
    folder = gateway / "log" / "tile" / "entries"
    bundles: dict[int, bytes] = {}
    widest: dict[int, int] = {}
    for path in folder.rglob("*"):
        # a write that a kill cut off leaves its file beside the tile, under a hidden name
        if not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(folder).as_posix()
        name, _, width = name.partition(".p/")
        number = int(name.replace("x", "").replace("/", ""))
        if (int(width) if width else 256) > widest.get(number, 0):
            widest[number] = int(width) if width else 256
            bundles[number] = path.read_bytes()
    entries: list[bytes] = []
    for number in sorted(bundles):
        data = bundles[number]
        while data:
            (size,) = struct.unpack_from(">H", data)
            entries.append(data[2 : 2 + size])
            data = data[2 + size :]
    return entries


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Witness]]:
    """The site after all kills, settled and then stopped, and the witness of what it published."""
    draw = random.Random(SEED)
    with Site(tmp_path_factory.mktemp("site")) as site:
        site.make_keys()
        site.start_services()
        for name, bits in BOARDS.items():
            site.enrol(name, bits=bits, interval_ms=INTERVAL_MS, batch=1)
            site.start_board(name)
        witness = Witness(site.broker.port)
        wait_for("both boards are heard", lambda: len(witness.acknowledged) == len(BOARDS), 60)
        victims = ["gateway", "ledger", "broker", *BOARDS]
        for i in range(KILLS):
            time.sleep(draw.uniform(*PAUSE_S))
            name = victims[i % len(victims)] if i < 2 * len(victims) else draw.choice(victims)
            victim = site.broker if name == "broker" else site.programs[name]
            victim.kill()
            time.sleep(draw.uniform(*DOWN_S))
            victim.start()
        settled = {device: upto + 8 for device, upto in witness.acknowledged.items()}
        wait_for(
            "acknowledgements go on after the last kill",
            lambda: all(witness.acknowledged[one] >= upto for one, upto in settled.items()),
            SETTLE_S,
        )
        site.check_alive()
        for name in BOARDS:
            site.programs[name].stop()
        time.sleep(3)  # the last records are checkpointed and anchored
        yield site, witness
        witness.close()


pytestmark = pytest.mark.timeout(400)


def test_no_board_signed_one_number_twice(aftermath: tuple[Site, Witness]) -> None:
    """A board that comes back must not fork its own chain."""
    _, witness = aftermath
    twice = {place: ids for place, ids in witness.signed.items() if len(ids) > 1}
    assert twice == {}


def test_every_acknowledged_record_is_there_once(aftermath: tuple[Site, Witness]) -> None:
    """What was acknowledged is in the log, once, and in an unbroken chain."""
    site, witness = aftermath
    entries = leaves(site.gateway_folder)
    held: dict[bytes, list[int]] = defaultdict(list)
    for entry in entries:
        one = record.parse(entry)
        held[one.signed.kid].append(one.seq)
    assert len(witness.acknowledged) == len(BOARDS)
    for device, upto in witness.acknowledged.items():
        assert sorted(held[device])[: upto + 1] == list(range(upto + 1))
        assert len(set(held[device])) == len(held[device])


def test_checkpoints_never_contradict_each_other(aftermath: tuple[Site, Witness]) -> None:
    """Every checkpoint ever published is a prefix of the log as it is now."""
    site, witness = aftermath
    hashes = [merkle.leaf_hash(entry) for entry in leaves(site.gateway_folder)]
    assert len(witness.checkpoints) > 5
    for size, roots in witness.checkpoints.items():
        assert roots == {merkle.root(hashes[:size])}


def test_the_whole_chain_still_verifies(aftermath: tuple[Site, Witness]) -> None:
    """A proof of everything acknowledged is in order for the laptop."""
    site, witness = aftermath
    trusted = policy.parse(site.policy.read_bytes())
    for device, upto in witness.acknowledged.items():
        file = site.folder / f"{device.hex()}.tally"
        words = ("--gateway", site.gateway_url, "-o", file)
        command("tally", "prove", device.hex(), f"0..{upto}", *words, home=site.home)
        verdict = verify.verify(proof.parse(file.read_bytes()), trusted)
        ended = {c.code: c for c in verdict.checks if c.result is not Outcome.OK}
        assert set(ended) <= NOT_ASKED, ended
        assert (verdict.first, verdict.last) == (0, upto)
