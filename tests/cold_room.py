"""One day of a cold room, for tests of what is shown: a proof in which something happened.

Three channels; a beacon that names a milestone; readings in records of twelve; records that the board dropped and
says so; a restart; a rotation to a new key. Registered and inspected in the ledger, anchored every few hours. By the
simulator of `tests.world`, so that two runs make the same bytes.
"""

from __future__ import annotations

import math

from tallystick import credential, did, merkle, proof, shared_inclusion
from tallystick.body import Channel, EventCode, Readings
from tallystick.record import Record
from tallystick.statement import StatementKind
from tests.world import START, Device, World, key

CHANNELS = (
    Channel("temperature", "Cel", -2),
    Channel("humidity", "%RH", -1),
    Channel("door", "/", 0),
)
EVERY_S = 300  # between two readings
IN_A_RECORD = 12


class ColdRoom:
    """The world, and the records of the day in it."""

    def __init__(self) -> None:
        self.world = World()
        self.device = self.world.device
        self.world.register()
        self.world.ledger.milestone(START - 600)
        self._count = 0
        self._day()

    def _day(self) -> None:
        device, world = self.device, self.world
        self.open = device.open(channels=CHANNELS)
        self._hours(2)
        self.beacon = device.beacon(world.ledger.newest())
        self.before = world.ledger.milestones[-1]
        self._hours(3)
        world.publish()
        self._lose(2)
        self._hours(3)
        device.open(channels=CHANNELS, time=device.time + 900)
        self._hours(4)
        self._inspect()
        world.publish()
        device.rotate(key("second"))
        device.open(channels=CHANNELS)
        self._hours(5)
        world.publish(device.time + 120)

    def _hours(self, count: int) -> None:
        for _ in range(count):
            self.device.sign(self._readings())
            self.device.time += IN_A_RECORD * EVERY_S - 60

    def _readings(self, boot: int | None = None) -> Readings:
        places = range(self._count, self._count + IN_A_RECORD)
        self._count += IN_A_RECORD
        defrost = {i for i in places if i % 72 in (30, 31, 32, 33)}
        columns = (
            tuple(round(420 + 60 * math.sin(i / 9) + (180 if i in defrost else 0)) for i in places),
            tuple(None if i % 53 == 7 else round(780 + 25 * math.cos(i / 13)) for i in places),
            tuple(int(i in defrost and i % 2 == 0) for i in places),
        )
        return Readings(self.device.boot if boot is None else boot, EVERY_S, columns)

    def _lose(self, count: int) -> None:
        """Sign records that never arrive, then say so."""
        first = self.device.seq
        lost = [self.device.sign(self._readings()) for _ in range(count)]
        self.device.records = [one for one in self.device.records if one not in lost]
        self.device.time += count * (IN_A_RECORD * EVERY_S - 60)
        self.device.event(EventCode.DROPPED, first, first + count - 1)

    def _inspect(self) -> None:
        inspector = key("inspector")
        given = credential.sign(
            self.world.issuer,
            self.world.issuer_did,
            did.did_key(inspector.public),
            START - 86_400,
            role="inspector",
        )
        self.world.state(inspector, StatementKind.INSPECTED, b"calibrated, 0.1 K off", given)

    # ---- what can be shown of it

    @property
    def policy(self) -> str:
        """A policy file that trusts everybody who had a part in it."""
        return self.world.policy_text()

    def proof(self) -> bytes:
        """The whole day, from the beacon on: VERIFIED, with both bounds."""
        records = [one for one in self.device.records if one.seq >= self.beacon.seq]
        return self.world.prove(records)

    def bounded(self) -> bytes:
        """The first hours behind the beacon: VERIFIED, not before and not after."""
        records = [one for one in self.device.records if one.seq > self.beacon.seq][:3]
        parts = self.world.parts(records, anchor=self.world.anchors[0])
        bounds = {"links": [self.beacon.raw], "before": self.before.block.raw}
        return proof.build(**{**parts, **bounds})

    def shared(self) -> bytes:
        """The whole day again, with one inclusion for all records."""
        log = self.world.log
        records = [one for one in self.device.records if one.seq >= self.beacon.seq]
        indices = [log.entries.index(one.raw) for one in records]
        leaves = log.leaves()
        hashes = shared_inclusion.prove(
            indices, len(leaves), lambda start, end: merkle.root(leaves[start:end])
        )
        return self.world.prove(records, inclusions=[], shared=(indices, hashes))

    def pending(self) -> bytes:
        """The last hours, before an anchor came."""
        return proof.build(**self.world.pending(self.device.records[-3:]))

    def tampered(self) -> bytes:
        """The day, with one value of one record changed after it was signed."""
        data = self.proof()
        raw = self._some_readings().raw
        place = raw.index(b"\x19", 70)
        changed = raw[: place + 2] + bytes([raw[place + 2] ^ 4]) + raw[place + 3 :]
        return data.replace(raw, changed, 1)

    def forked(self) -> bytes:
        """The day, with a record that a clone of the board signed in another world's place."""
        clone = Device(key("device"))
        held = self._some_readings()
        clone.seq, clone.prev, clone.time = held.seq, bytes.fromhex(held.prev.hex()), held.time + 1
        clone.boot = self.open.seq
        other = clone.sign(self._readings(self.open.seq))
        return self.world.prove(
            [one for one in self.device.records if one.seq >= self.beacon.seq],
            forks=[(held.raw, other.raw)],
        )

    def _some_readings(self) -> Record:
        return next(
            one
            for one in self.device.records
            if isinstance(one.body, Readings) and one.seq > self.beacon.seq + 4
        )
