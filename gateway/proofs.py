"""The proof file of some records of a device (docs/format.md, section 11), from the data folder
alone.

The checkpoint is that of the earliest confirmed anchor that covers them all; while there is none,
the newest checkpoint, and the verdict will be PENDING. It reads one moment of the database, so the
service may run meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tallystick import checkpoint, limits, merkle, milestone, proof, record, shared_inclusion
from tallystick.body import Open, Readings
from tallystick.chain import Chain
from tallystick.errors import PathError
from tallystick.note import VerifierKey
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.store import DeviceLinks, Store
from tallystick_gateway.tiles import Tiles

__all__ = ["ProofError", "Wanted", "build"]


class ProofError(Exception):
    """There is no such proof; `hint` says what to do."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True)
class Wanted:
    """Which records: seq `first`..`last`, the one whose readings cover `time`, or all with readings from `since` to
    `until` (Unix seconds, by the board's clock).
    """

    first: int | None = None
    last: int | None = None
    time: int | None = None
    not_before: bool = False
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        pairs = ((self.first, self.last), (self.since, self.until), (self.time, self.time))
        whole = [None not in pair for pair in pairs]
        if sum(whole) != 1 or any((a is None) != (b is None) for a, b in pairs):
            raise ProofError("name a seq, a range of seqs, a time, or a range of times")
        for value in (self.first, self.last, self.time, self.since, self.until):
            if value is not None and not 0 <= value <= limits.SEQ:
                raise ProofError(f"{value} is not in 0..{limits.SEQ}")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ProofError("the range of times ends before it starts")
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ProofError(f"the range {self.first}..{self.last} is empty")


def build(
    store: Store,
    tiles: Tiles,
    devices: Mapping[bytes, EnrolledDevice],
    device: bytes,
    wanted: Wanted,
    *,
    most: int = bounds.PROOF_RECORDS,
) -> bytes:
    """The bytes of the proof file; `ProofError` if it cannot be made."""
    with store.snapshot():
        return _Building(store, tiles, device, wanted, most).run(devices.get(device))


class _Building:
    def __init__(
        self, store: Store, tiles: Tiles, device: bytes, wanted: Wanted, most: int
    ) -> None:
        self._store, self._tiles = store, tiles
        self._device, self._wanted, self._most = device, wanted, most

    def run(self, enrolled: EnrolledDevice | None) -> bytes:
        chain = self._chain()
        rows = self._rows(chain)
        first, last = rows[0][0], rows[-1][0]
        records = [record.parse(raw) for _, _, raw in rows]
        note, anchor = self._covering(max(leaf for _, leaf, _ in rows) + 1)
        shared = self._shared(rows, note) if len(rows) > 1 else None
        links, before = self._links(first) if self._wanted.not_before else ([], None)
        shown = {*(seq for seq, _, _ in rows), *(record.parse(raw).seq for raw in links)}
        return proof.build(
            records=[raw for _, _, raw in rows],
            opens=self._opens(records, shown),
            rotations=[
                raw
                for raw in self._store.rotations(self._device, last)
                if record.parse(raw).seq not in shown
            ],
            inclusions=[]
            if shared
            else [self._inclusion(leaf, raw, note) for _, leaf, raw in rows],
            shared=shared,
            checkpoint=note.raw if anchor is None else None,
            anchor=anchor,
            credential=enrolled.credential if enrolled else None,
            links=links,
            before=before,
            forks=self._forks(chain, last),
        )

    def _chain(self) -> Chain:
        row = self._store.device(self._device)
        if row is None or row.state is None:
            raise ProofError(
                f"no record of device {self._device.hex()}",
                hint="the device is not enrolled here, or has sent nothing yet",
            )
        return Chain.load(row.state, DeviceLinks(self._store, self._device))

    def _rows(self, chain: Chain) -> list[tuple[int, int, bytes]]:
        first, last = self._wanted.first, self._wanted.last
        if self._wanted.time is not None:
            first = last = self._seq_at(self._wanted.time)
        if self._wanted.since is not None and self._wanted.until is not None:
            first, last = self._seqs_between(self._wanted.since, self._wanted.until)
        if first is None or last is None:
            raise ProofError("name a seq, a range of seqs, or a time")
        rows = self._store.rows(self._device, first, last, self._most + 1)
        if not rows:
            span = f"seq {first}" if first == last else f"seq {first}..{last}"
            raise ProofError(
                f"device {self._device.hex()} has no record {span} here",
                hint=f"the highest seq is {chain.top}",
            )
        if len(rows) > self._most:
            raise ProofError(f"more than {self._most} records", hint="ask for a shorter range")
        return rows

    def _seq_at(self, time: int) -> int:
        """The seq of the latest record whose first reading is at `time` or before, and its last at
        `time` or after.
        """
        nearest: tuple[int, int] | None = None
        covering: list[int] = []
        candidates = self._store.readings_before(self._device, time, bounds.HTTP_ROWS)
        for seq, start in candidates:
            parsed = self._record(seq)
            if parsed is None or not isinstance(parsed.body, Readings):
                continue
            if math.ceil(self._end(parsed, parsed.body)) >= time:
                covering.append(seq)
            nearest = nearest or (seq, start)
        if covering:
            return max(covering)
        hint = f"the nearest before it is seq {nearest[0]}, from {nearest[1]} on" if nearest else ""
        raise ProofError(
            f"no readings of device {self._device.hex()} cover the time {time}", hint=hint
        )

    def _seqs_between(self, since: int, until: int) -> tuple[int, int]:
        """The lowest and the highest seq of the records with readings from `since` to `until`."""
        found = self._store.seqs_between(self._device, since, until)
        try:
            covering = self._seq_at(since)
        except ProofError:
            if found is None:
                raise ProofError(
                    f"no readings of device {self._device.hex()} from {since} to {until}"
                ) from None
            return found
        return (covering, covering) if found is None else (min(found[0], covering), found[1])

    def _end(self, parsed: Record, body: Readings) -> float:
        """Unix seconds of the last reading; of the first if the `open` is missing."""
        opened = self._record(body.boot)
        if opened is None or not isinstance(opened.body, Open):
            return float(parsed.time)
        return body.times(parsed.time, opened.body.tick_ms)[-1]

    def _record(self, seq: int) -> Record | None:
        rows = self._store.rows(self._device, seq, seq, 1)
        return record.parse(rows[0][2]) if rows else None

    def _covering(self, size: int) -> tuple[checkpoint.Checkpoint, bytes | None]:
        """The checkpoint, and the CBOR `confirmed` of its anchor if it has one."""
        anchor = self._store.earliest_anchor(size)
        if anchor is not None and anchor.confirmed is not None:
            carried = milestone.parse_confirmed(anchor.confirmed).block.carried
            return checkpoint.parse(carried), anchor.confirmed
        newest = self._store.newest_checkpoint(self._store.fact("origin") or "")
        if newest is None or newest.size < size:
            raise ProofError(
                "no checkpoint covers these records yet",
                hint="wait for the next one; if there is none, look at the gateway's state",
            )
        return checkpoint.parse(newest.note), None

    def _inclusion(
        self, leaf: int, raw: bytes, note: checkpoint.Checkpoint
    ) -> tuple[int, list[bytes]]:
        path = self._tiles.inclusion(leaf, note.size)
        try:
            merkle.verify_inclusion(merkle.leaf_hash(raw), leaf, note.size, path, note.root)
        except PathError as error:
            raise ProofError(
                f"the tiles do not lead from leaf {leaf} to the checkpoint of size {note.size}",
                hint="run tally-gateway fsck",
            ) from error
        return leaf, path

    def _shared(
        self, rows: list[tuple[int, int, bytes]], note: checkpoint.Checkpoint
    ) -> tuple[list[int], list[bytes]]:
        """Where the records stand, and the hashes from all of them to the root, once each."""
        leaves = {leaf: merkle.leaf_hash(raw) for _, leaf, raw in rows}
        hashes = self._tiles.shared_inclusion(list(leaves), note.size)
        try:
            shared_inclusion.verify(leaves, note.size, hashes, note.root)
        except PathError as error:
            raise ProofError(
                f"the tiles do not lead to the checkpoint of size {note.size}",
                hint="run tally-gateway fsck",
            ) from error
        return [leaf for _, leaf, _ in rows], hashes

    def _opens(self, records: list[Record], shown: set[int]) -> list[bytes]:
        boots = sorted({r.body.boot for r in records if isinstance(r.body, Readings)} - shown)
        found = (self._store.rows(self._device, boot, boot, 1) for boot in boots)
        parsed = [record.parse(rows[0][2]) for rows in found if rows]
        return [opened.raw for opened in parsed if isinstance(opened.body, Open)]

    def _forks(self, chain: Chain, last: int) -> list[tuple[bytes, bytes]]:
        pairs = []
        for fork in chain.forks:
            if fork.seq <= last:
                first, second = (
                    self._store.raw_by_id(chain.device, fork.seq, one)
                    for one in (fork.first, fork.second)
                )
                if first is not None and second is not None:
                    pairs.append((first, second))
        return pairs

    def _links(self, first: int) -> tuple[list[bytes], bytes | None]:
        """From the latest record that names a milestone at hand to the one before `first`, and that
        milestone's block.
        """
        ledger = self._store.fact("ledger")
        if ledger is None:
            raise ProofError("this gateway has never known a ledger")
        own = LedgerKey(VerifierKey.parse(ledger))
        for seq, named in self._store.naming(self._device, first, own.id):
            block = self._store.milestone(named)
            if first - seq > self._most:
                break
            if block is None:
                continue
            rows = self._store.rows(self._device, seq, first - 1, self._most) if seq < first else []
            if len(rows) != first - seq:
                raise ProofError(
                    f"records are missing between {seq}, which names a milestone, and {first}",
                    hint="without --not-before the proof can be made",
                )
            return [raw for _, _, raw in rows], block
        raise ProofError(
            f"no record before seq {first} names a milestone whose block is at hand",
            hint="without --not-before the proof can be made",
        )
