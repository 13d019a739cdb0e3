"""A simulated board: real keys and real records, made by the library instead of by firmware."""

from __future__ import annotations

from tallystick import record
from tallystick.body import (
    Beacon,
    Body,
    Channel,
    CheckpointRef,
    Event,
    MilestoneRef,
    Open,
    Readings,
    Rotate,
)
from tallystick.did import did_key
from tallystick.keys import ED25519, PrivateKey
from tallystick.record import Record, possession_bytes

START = 1_790_000_000

OPEN = Open(
    boots=1,
    version="0.1.0",
    digest=bytes(16),
    clock=2,
    fingerprint=None,
    channels=(Channel("temperature", "Cel", -2),),
    tick_ms=1000,
)


class Board:
    """Signs the next record of its chain; `records` holds all of them in order."""

    def __init__(self, key: PrivateKey | None = None, alg: int = ED25519) -> None:
        self.key = key or PrivateKey.generate(alg)
        self.first_key = self.key.public
        self.id = self.key.public.kid
        self.did = did_key(self.key.public)
        self.records: list[Record] = []

    @property
    def head(self) -> tuple[int, bytes]:
        """The next seq and its `prev`."""
        if not self.records:
            return 0, record.genesis(self.first_key)
        return self.records[-1].seq + 1, self.records[-1].id

    def sign(self, says: Body, *, time: int | None = None) -> Record:
        """The next record."""
        seq, prev = self.head
        made = self.make(seq, prev, says, time=time)
        self.records.append(made)
        return made

    def make(self, seq: int, prev: bytes, says: Body, *, time: int | None = None) -> Record:
        """A record for any place, which does not become part of the chain."""
        at = START + 60 * seq if time is None else time
        return record.parse(record.sign(self.key, seq, prev, at, says))

    def open(
        self, milestone: MilestoneRef | None = None, checkpoint: CheckpointRef | None = None
    ) -> Record:
        """An `open` record."""
        return self.sign(OPEN.replace(milestone=milestone, checkpoint=checkpoint))

    def read(self, *values: int) -> Record:
        """Readings, one a second."""
        boot = next(r.seq for r in reversed(self.records) if isinstance(r.body, Open))
        step = 1 if len(values) > 1 else 0
        return self.sign(Readings(boot, step, (values or (2150 + len(self.records),),)))

    def beacon(
        self,
        *,
        milestone: MilestoneRef | None = None,
        checkpoint: CheckpointRef | None = None,
        nonce: bytes | None = None,
    ) -> Record:
        """A beacon."""
        return self.sign(Beacon(milestone, checkpoint, nonce, 0))

    def event(self, code: int, *args: int | bytes) -> Record:
        """An event."""
        return self.sign(Event(code, args))

    def rotate(self, new: PrivateKey) -> Record:
        """Hand over to `new`; what follows is signed by it."""
        seq, prev = self.head
        at = START + 60 * seq
        possession = new.sign(possession_bytes(self.id, seq, prev, at, new.public))
        made = self.sign(Rotate(new.public, possession), time=at)
        self.key = new
        return made

    def fill(self, count: int) -> list[Record]:
        """The first `count` records: an open, then single readings."""
        self.open()
        while len(self.records) < count:
            self.read()
        return list(self.records)
