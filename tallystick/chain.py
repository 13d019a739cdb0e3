"""The rules of a chain as a state machine: records in, findings out (docs/format.md, section 5).

The gateway and the verifier both drive a `Chain`, so there is one set of rules. It opens no file
and asks no clock; which records are there already it asks its `Links`, so that a gateway with ten
million records keeps them where it likes.

1. A record is signed by a key of the device, or it is refused (`KeyUnknownError`,
   `SignatureError`).
2. Same seq, same id: duplicate. A twin, with another signature of the same content, is one too.
3. Two records for one place: a fork. The first branch stays the chain, both are kept as evidence.
4. A missing seq is a gap until it is filled or an event gives it up.
5. What an adoption leaves behind is disowned.

What is refused raises and leaves the state as it was. Everything that does not raise is evidence
to keep.

>>> chain = Chain(first_key)                                # doctest: +SKIP
>>> chain.admit(record.parse(raw)).result                   # doctest: +SKIP
<Result.ADMITTED: 'admitted'>
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from tallystick import cbor, keys, limits
from tallystick.body import Event, Kind, Rotate
from tallystick.errors import FormatError, KeyUnknownError, LimitError, LinkError, SignatureError
from tallystick.fields import octets, uint
from tallystick.keys import PublicKey
from tallystick.record import Record, device_id, genesis, possession_bytes
from tallystick.value import Value

__all__ = [
    "Chain",
    "Finding",
    "Fork",
    "KeyPeriod",
    "Link",
    "Links",
    "Outline",
    "Result",
    "key_periods",
]


class Result(StrEnum):
    """What became of a record that was not refused."""

    ADMITTED = "admitted"
    DUPLICATE = "duplicate"
    FORK = "fork"
    DISOWNED = "disowned"


class Link(NamedTuple):
    """What the rules need to know of a record that is in the chain."""

    id: bytes
    prev: bytes
    kid: bytes


class Links(Protocol):
    """The records of one chain by seq. `add` is called once for each admitted record."""

    def get(self, seq: int) -> Link | None: ...

    def add(self, seq: int, link: Link) -> None: ...


class _Held:
    """Links in memory."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    def get(self, seq: int) -> Link | None:
        return self._links.get(seq)

    def add(self, seq: int, link: Link) -> None:
        self._links[seq] = link


class KeyPeriod(Value):
    """`key` is in force from seq `start` on, until the next period starts."""

    start: int
    key: PublicKey


class Fork(Value):
    """A fork of key `kid` at `seq`: `first` and `second` are the ids of the two records that prove
    it.
    """

    seq: int
    kid: bytes
    first: bytes
    second: bytes


class Finding(Value):
    """What became of a record. `other` is the id of the record that it collides with, if it does."""

    result: Result
    detail: str = ""
    other: bytes | None = None


_ADMITTED: Final = Finding(Result.ADMITTED)


class Outline(NamedTuple):
    """A chain at a glance: highest seq, what is missing, and the lowest fork of the key in force."""

    head: int | None
    missing: tuple[range, ...]
    forked: int | None


class Chain:
    """One device's chain.

    `start` is the seq where it begins: 0 for a gateway, the first record at hand for a verifier,
    who then cannot check what that record continues. `periods` are the keys in force before
    `start`, from `key_periods`.
    """

    def __init__(
        self,
        key: PublicKey,
        links: Links | None = None,
        *,
        start: int = 0,
        periods: Iterable[KeyPeriod] = (),
    ) -> None:
        self.device = device_id(key)
        self.periods = list(periods) or [KeyPeriod(0, key)]
        self.links: Links = links if links is not None else _Held()
        self.start = start
        self.top = start - 1  # highest seq in the chain
        self.missing: list[range] = []  # below top, not there, not given up
        self.given_up: list[range] = []  # below top, not there, named by an event
        self.forks: list[Fork] = []
        self.adoptions: list[int] = []  # seq of each `adopted`
        self.disowned: set[bytes] = set()

    # ---- what can be asked

    @property
    def upto(self) -> int | None:
        """Highest seq that is there with every lower one there or given up; None while there is
        none.
        """
        candidate = self.missing[0].start - 1 if self.missing else self.top
        for gone in reversed(self.given_up):
            if candidate in gone:
                candidate = gone.start - 1
        return candidate if candidate >= self.start else None

    def key_at(self, seq: int) -> PublicKey:
        """The key in force at `seq`."""
        if len(self.periods) == 1:
            return self.periods[0].key
        at = bisect_right(self.periods, seq, key=lambda period: period.start)
        return self.periods[max(at - 1, 0)].key

    def key_of(self, record: Record) -> PublicKey:
        """The device's key that the record's kid names; `KeyUnknownError` if there is none."""
        for period in self.periods:
            if period.key.kid == record.signed.kid:
                return period.key
        raise KeyUnknownError(
            "chain.unknown-key",
            f"key {record.signed.kid.hex()} is none of device {self.device.hex()}",
        )

    def fork_of(self, record: Record) -> Fork | None:
        """The fork that makes `record` untrusted, if one does."""
        for fork in self.forks:
            if fork.kid == record.signed.kid and record.seq >= fork.seq:
                return fork
        # it was admitted before the rotation that replaced its key was here
        if record.signed.kid != self.key_at(record.seq).kid:
            return Fork(record.seq, record.signed.kid, b"", record.id)
        return None

    # ---- the rules

    def admit(self, record: Record, *, verified: bool = False) -> Finding:
        """What becomes of `record`; raises and changes nothing if it is refused.

        `verified`: the caller has checked the signature against `key_of(record)` already.

        Raises `KeyUnknownError` (`chain.unknown-key`), `SignatureError`, `LinkError`
        (`chain.genesis`, `chain.key`, `chain.rotate`), `LimitError` (`chain.ranges`).
        """
        key = self.key_of(record)
        if not verified:
            record.signed.verify(key)
        held = self.links.get(record.seq)
        if held is not None and held.id == record.id:
            return Finding(Result.DUPLICATE, "already there", held.id)
        in_force = self.key_at(record.seq)
        self._check_place(record, key, in_force)
        if record.id in self.disowned:
            return Finding(Result.DUPLICATE, "already there, disowned", record.id)
        collision = self._collision(record, key, in_force, held)
        if collision is not None:
            return collision
        self._extend(record)
        return _ADMITTED

    def _check_place(self, record: Record, key: PublicKey, in_force: PublicKey) -> None:
        """What the device's own key may never sign at this seq, whatever else is there."""
        if record.seq < self.start:
            raise LinkError("chain.before-start", f"seq {record.seq} lies before {self.start}")
        if record.seq == 0 and (
            record.prev != genesis(self.periods[0].key) or record.kind is not Kind.OPEN
        ):
            # stops a chain from being spliced onto another device's start
            raise LinkError("chain.genesis", "seq 0 is not an open that starts this device's chain")
        if key != in_force and self._order(key) > self._order(in_force):
            raise LinkError("chain.key", f"key {key.kid.hex()} is not in force at seq {record.seq}")
        if (
            len(self.periods) > 1
            and record.kind is not Kind.OPEN
            and key == in_force
            and any(record.seq == period.start for period in self.periods[1:])
        ):
            raise LinkError("chain.rotate", "the first record of a new key is not an open")
        if isinstance(record.body, Rotate):
            check_possession(self.device, record, record.body)
            if any(period.key.kid == record.body.key.kid for period in self.periods):
                raise LinkError("chain.rotate", "the new key was a key of this device before")

    def _order(self, key: PublicKey) -> int:
        return next(i for i, period in enumerate(self.periods) if period.key == key)

    def _collision(
        self, record: Record, key: PublicKey, in_force: PublicKey, held: Link | None
    ) -> Finding | None:
        """Fork or disowned, if another record stands where this one would."""
        if (self.disowned or self.adoptions) and self._is_disowned(record, held):
            if len(self.disowned) >= limits.CHAIN_RANGES:
                raise LimitError("chain.ranges", "too many disowned records")
            self.disowned.add(record.id)
            return Finding(
                Result.DISOWNED, "the board adopted the chain without it", held.id if held else None
            )
        if held is not None:
            return self._fork(record.seq, record, held, f"another record has seq {record.seq}")
        if key != in_force:
            start = next(p.start for p in self.periods if p.key == in_force)
            rotate = self.links.get(start - 1)
            return self._fork(record.seq, record, rotate, "signed by a key that was replaced")
        before = self.links.get(record.seq - 1)
        if before is not None and before.id != record.prev:
            detail = f"does not continue the record {record.seq - 1}"
            return self._fork(record.seq - 1, record, before, detail)
        after = self.links.get(record.seq + 1)
        if after is not None and after.prev != record.id:
            detail = f"the record {record.seq + 1} does not continue it"
            return self._fork(record.seq, record, after, detail, at=record.seq + 1)
        return None

    def _is_disowned(self, record: Record, held: Link | None) -> bool:
        """Was it built on what an adoption left behind? `adopted` itself is never: a second one is
        a fork.
        """
        if record.prev in self.disowned:
            return True
        if record.adopts() is not None:
            return False
        if record.seq - 1 in self.adoptions:
            adopted = self.links.get(record.seq - 1)
            return adopted is not None and adopted.id != record.prev
        return held is not None and record.seq in self.adoptions

    def _fork(
        self, seq: int, record: Record, first: Link | None, detail: str, *, at: int | None = None
    ) -> Finding:
        """A fork at `seq`: `record` collides with `first`, which stands at `at` (`seq` if None)."""
        kid, at = record.signed.kid, seq if at is None else at
        if first and first.kid != self.key_at(at).kid and kid == self.key_at(record.seq).kid:
            # stops who holds a replaced key from branding the one that replaced it
            seq, kid = at, first.kid
        other = first.id if first else b""
        self._add_fork(Fork(seq, kid, other, record.id))
        return Finding(Result.FORK, detail, other or None)

    def _add_fork(self, fork: Fork) -> None:
        """Keep the lowest few of each key: what lies above them they make untrusted already, and a
        thief cannot fill our memory, nor push out the forks of another key.
        """
        every = {(one.kid, one.seq): one for one in (fork, *reversed(self.forks))}
        kept: list[Fork] = []
        for one in sorted(every.values(), key=lambda one: one.seq):
            if sum(one.kid == other.kid for other in kept) < limits.MISSING_RANGES:
                kept.append(one)
        self.forks = kept

    def _extend(self, record: Record) -> None:
        if record.seq == self.top + 1 and not isinstance(record.body, Event | Rotate):
            # the common case: neither fills a hole nor speaks of one
            self.top = record.seq
            self.links.add(record.seq, Link(record.id, record.prev, record.signed.kid))
            return
        seq = record.seq
        missing = _without(self.missing, range(seq, seq + 1))
        if seq > self.top + 1:
            missing.append(range(self.top + 1, seq))
        given_up = _without(self.given_up, range(seq, seq + 1))
        gone = record.gives_up()
        if gone is not None:
            named = [_overlap(gone, hole) for hole in missing]
            given_up = sorted(
                [*given_up, *(hole for hole in named if hole)], key=lambda hole: hole.start
            )
            missing = _without(missing, gone)
        if len(missing) + len(given_up) > limits.CHAIN_RANGES:
            raise LimitError("chain.ranges", "more gaps than one chain may have")
        self.missing, self.given_up = missing, given_up
        self.top = max(self.top, seq)
        self.links.add(seq, Link(record.id, record.prev, record.signed.kid))
        if record.adopts() is not None:
            self.adoptions.append(seq)
        if isinstance(record.body, Rotate):
            self._rotate(record, record.body)

    def _rotate(self, record: Record, body: Rotate) -> None:
        self.periods.append(KeyPeriod(record.seq + 1, body.key))
        self.periods.sort(key=lambda period: period.start)
        after = self.links.get(record.seq + 1)
        if after is not None and after.kid != body.key.kid:
            self._add_fork(Fork(record.seq + 1, after.kid, record.id, after.id))

    # ---- keeping the state

    def dump(self) -> bytes:
        """The state without the links, as CBOR."""
        return cbor.encode(
            [
                [[period.start, period.key.alg, period.key.raw] for period in self.periods],
                self.start,
                self.top + 1,
                [[hole.start, hole.stop] for hole in self.missing],
                [[hole.start, hole.stop] for hole in self.given_up],
                [[fork.seq, fork.kid, fork.first, fork.second] for fork in self.forks],
                self.adoptions,
                sorted(self.disowned),
            ]
        )

    @staticmethod
    def outline(state: bytes) -> Outline:
        """What a list of many devices shows of each: no key is looked into, which is what takes time.

        `FormatError` (`chain.state`) if `state` is not what `dump` gave.
        """
        value: Any = cbor.decode(state)
        try:
            periods, start, end, missing, _, forks, _, _ = value
            newest = keys.kid(periods[-1][2])
            forked = min((seq for seq, of, _, _ in forks if of == newest), default=None)
            head = end - 1 if end > start else None
            return Outline(head, tuple(range(a, b) for a, b in missing), forked)
        except (TypeError, ValueError, IndexError) as error:
            raise FormatError("chain.state", "not the state of a chain") from error

    @classmethod
    def load(cls, state: bytes, links: Links) -> Chain:
        """The chain whose `dump` was `state`; `FormatError` if it was not."""
        value: Any = cbor.decode(state)
        try:
            periods, start, end, missing, given_up, forks, adoptions, disowned = value
            history = [
                KeyPeriod(uint(first, "start", limits.SEQ), PublicKey.from_bytes(raw, alg))
                for first, alg, raw in periods
            ]
            chain = cls(history[0].key, links, start=start, periods=history)
            chain.top = uint(end, "top", limits.SEQ + 1) - 1
            chain.missing = [range(a, b) for a, b in missing]
            chain.given_up = [range(a, b) for a, b in given_up]
            chain.forks = [Fork(seq, kid, first, second) for seq, kid, first, second in forks]
            chain.adoptions = list(adoptions)
            chain.disowned = {octets(one, "id", 32) for one in disowned}
        except (TypeError, ValueError, IndexError) as error:
            raise FormatError("chain.state", "not the state of a chain") from error
        return chain


def key_periods(
    first: PublicKey, rotations: Iterable[Record], named: KeyPeriod | None = None
) -> list[KeyPeriod]:
    """Which key is in force from which seq, by the `rotate` records given in ascending seq, and by
    the credential that has `named` another.

    Raises `SignatureError` or `LinkError` (`chain.rotate`) if one is not signed by the key in
    force, or its possession not by the new key.
    """
    periods = [KeyPeriod(0, first)]
    device = device_id(first)
    for record in rotations:
        if not isinstance(record.body, Rotate):
            raise LinkError("chain.rotate", f"seq {record.seq} is not a rotation")
        if named is not None and named.start <= record.seq and named not in periods:
            periods.append(named)
        if record.seq < periods[-1].start:
            raise LinkError("chain.rotate", "rotations out of order")
        record.signed.verify(periods[-1].key)
        check_possession(device, record, record.body)
        periods.append(KeyPeriod(record.seq + 1, record.body.key))
    if named is not None and named not in periods:
        periods.append(named)
    return periods


def check_possession(device: bytes, record: Record, body: Rotate) -> None:
    """Return if the new key signed that it is there, else raise `SignatureError`
    (`chain.possession`).
    """
    message = possession_bytes(device, record.seq, record.prev, record.time, body.key)
    try:
        body.key.verify(body.possession, message)
    except SignatureError as error:
        # stops a board from rotating to a key that somebody else holds
        raise SignatureError(
            "chain.possession", "the new key did not sign that it is there"
        ) from error


def _overlap(a: range, b: range) -> range:
    return range(max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start))


def _without(holes: list[range], gone: range) -> list[range]:
    """`holes` (ascending) less `gone`, a new list."""
    if not holes:
        return []
    parts = (
        part
        for hole in holes
        for part in (
            range(hole.start, min(hole.stop, gone.start)),
            range(max(hole.start, gone.stop), hole.stop),
        )
    )
    return [part for part in parts if part]
