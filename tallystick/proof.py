"""The proof file: all that an offline verifier needs, in one CBOR array (docs/format.md, section
11).

["tally", 1, [[type, bytes], ...]], types ascending, bytes verbatim. `build` writes it, `parse`
reads it; neither verifies anything. Nothing in it is trusted unsigned, and no trusted key comes
from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeVar

from tallystick import cbor, checkpoint, credential, limits, milestone, record
from tallystick.block import BlockKind
from tallystick.body import Kind
from tallystick.checkpoint import Checkpoint
from tallystick.credential import Credential
from tallystick.errors import FormatError, LimitError
from tallystick.fields import is_int, uint
from tallystick.milestone import Confirmed, Milestone
from tallystick.record import Record
from tallystick.value import Value

if TYPE_CHECKING:
    from tallystick.statement import Statement

__all__ = [
    "Cosigned",
    "Inclusion",
    "Part",
    "Proof",
    "SharedInclusion",
    "build",
    "parse",
    "parse_cosigned",
    "with_anchor",
]

T = TypeVar("T")

MAGIC: Final = "tally"
VERSION: Final = 1
_START: Final = b"\x83\x65tally\x01"  # an array of three: magic, version, parts


class Part(IntEnum):
    """The type of a part."""

    RECORD = 1
    OPEN = 2
    ROTATION = 3
    INCLUSION = 4
    CHECKPOINT = 5
    ANCHOR = 6
    TRANSACTION = 7
    CREDENTIAL = 8
    STATEMENT = 9
    LINK = 10
    BEFORE = 11
    FORK = 12
    COSIGNED = 13
    SHARED = 14


_PARTS: Final = {part.value: part for part in Part}
_AT_MOST_ONE: Final = (
    Part.CHECKPOINT,
    Part.ANCHOR,
    Part.TRANSACTION,
    Part.CREDENTIAL,
    Part.BEFORE,
    Part.COSIGNED,
    Part.SHARED,
)


class Inclusion(Value):
    """Where a record stands in the log: leaf index, and the path from there to the root."""

    index: int
    path: tuple[bytes, ...]


class SharedInclusion(Value):
    """Where all records stand in the log, and the hashes from there to the root, once each
    (`tallystick.shared_inclusion`). `indices` is in the order of the records.
    """

    indices: tuple[int, ...]
    hashes: tuple[bytes, ...]


class Cosigned(Value):
    """A ledger's checkpoint with the lines of its witnesses, and the consistency path to it from
    the anchor's milestone.
    """

    checkpoint: Checkpoint
    path: tuple[bytes, ...]


class Proof(Value):
    """A proof file taken apart; docs/format.md, section 11 says what each part is. Nothing is
    verified.
    """

    records: tuple[Record, ...]
    opens: tuple[Record, ...] = ()
    rotations: tuple[Record, ...] = ()
    inclusions: tuple[Inclusion, ...] = ()
    bare_checkpoint: Checkpoint | None = None
    anchor: Confirmed | None = None
    anchored_checkpoint: Checkpoint | None = None
    credential: Credential | None = None
    statements: tuple[tuple[Confirmed, Statement], ...] = ()
    links: tuple[Record, ...] = ()
    before: Milestone | None = None
    forks: tuple[tuple[Record, Record], ...] = ()
    cosigned: Cosigned | None = None
    shared: SharedInclusion | None = None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that the inclusions lead to: the anchor's, or the bare one."""
        return self.anchored_checkpoint or self.bare_checkpoint


def build(
    *,
    records: Sequence[bytes],
    opens: Sequence[bytes] = (),
    rotations: Sequence[bytes] = (),
    inclusions: Sequence[tuple[int, Sequence[bytes]]] = (),
    checkpoint: bytes | None = None,
    anchor: bytes | None = None,
    credential: bytes | None = None,
    statements: Sequence[bytes] = (),
    links: Sequence[bytes] = (),
    before: bytes | None = None,
    forks: Sequence[tuple[bytes, bytes]] = (),
    cosigned: tuple[bytes, Sequence[bytes]] | None = None,
    shared: tuple[Sequence[int], Sequence[bytes]] | None = None,
) -> bytes:
    """The bytes of a proof file. `anchor` and `statements` are CBOR `confirmed`, `cosigned` is a
    note and a consistency path, `shared` stands instead of `inclusions`; all parts are stored as
    given, but that an anchor's transaction gets the part of its own.

    Raises what `parse` raises if the result would not be a proof file.
    """
    anchor, sent = _without_transaction(anchor)
    parts: list[tuple[Part, bytes]] = [
        *((Part.RECORD, raw) for raw in records),
        *((Part.OPEN, raw) for raw in opens),
        *((Part.ROTATION, raw) for raw in rotations),
        *((Part.INCLUSION, cbor.encode([index, list(path)])) for index, path in inclusions),
        *((Part.CHECKPOINT, raw) for raw in (checkpoint,) if raw is not None),
        *((Part.ANCHOR, raw) for raw in (anchor,) if raw is not None),
        *((Part.TRANSACTION, raw) for raw in (sent,) if raw is not None),
        *((Part.CREDENTIAL, raw) for raw in (credential,) if raw is not None),
        *((Part.STATEMENT, raw) for raw in statements),
        *((Part.LINK, raw) for raw in links),
        *((Part.BEFORE, raw) for raw in (before,) if raw is not None),
        *((Part.FORK, cbor.encode(list(pair))) for pair in forks),
        *((Part.COSIGNED, cbor.encode([note, list(path)])) for note, path in _given(cosigned)),
        *((Part.SHARED, cbor.encode([list(at), list(up)])) for at, up in _given(shared)),
    ]
    encoded = cbor.encode([MAGIC, VERSION, [[part.value, raw] for part, raw in parts]])
    parse(encoded)
    return encoded


def _given(value: T | None) -> tuple[T, ...]:
    return () if value is None else (value,)


def with_anchor(data: bytes, anchor: Confirmed) -> bytes:
    """The proof file `data` with this anchor, and its transaction, instead of its own; all else as it is.

    Raises what `parse` raises.
    """
    parse(data)
    value = cbor.decode(data)
    kept: list[tuple[Part, bytes]] = [
        (part, raw)
        for part, raws in _sorted_parts(value[2] if isinstance(value, list) else []).items()
        for raw in raws
        if part not in (Part.ANCHOR, Part.TRANSACTION)
    ]
    bare, sent = _without_transaction(anchor.encode())
    fresh = ((Part.ANCHOR, bare), (Part.TRANSACTION, sent))
    kept += [(part, raw) for part, raw in fresh if raw is not None]
    # ascending types; `sorted` keeps the order of parts of one type
    ordered = [[part.value, raw] for part, raw in sorted(kept, key=lambda one: one[0])]
    encoded = cbor.encode([MAGIC, VERSION, ordered])
    parse(encoded)
    return encoded


def parse(data: bytes) -> Proof:
    """`data` as a proof file.

    Raises `FormatError` or `LimitError`: codes `proof.*` for the container, those of the part for
    what is in it.
    """
    if len(data) > limits.PROOF_BYTES:
        raise LimitError("proof.too-long", f"{len(data)} bytes, the limit is {limits.PROOF_BYTES}")
    parts = _sorted_parts(_container(data))
    records = _chain_records(parts[Part.RECORD], "record")
    if not records:
        raise FormatError("proof.no-record", "a proof holds at least one record")
    inclusions = tuple(_inclusion(raw) for raw in parts[Part.INCLUSION])
    if inclusions and len(inclusions) != len(records):
        raise FormatError(
            "proof.inclusions", f"{len(inclusions)} inclusions for {len(records)} records"
        )
    anchor = _one(parts[Part.ANCHOR], _confirmed)
    bare = _one(parts[Part.CHECKPOINT], checkpoint.parse)
    if (anchor is None) == (bare is None):
        raise FormatError(
            "proof.checkpoint", "a checkpoint, or an anchor that carries it: one of them"
        )
    if anchor is not None and anchor.block.kind is not BlockKind.ANCHOR:
        raise FormatError("proof.anchor", "the anchor's block carries no checkpoint")
    cosigned = _one(parts[Part.COSIGNED], parse_cosigned)
    if cosigned is not None and anchor is None:
        raise FormatError("proof.cosigned", "a cosigned checkpoint without the anchor it speaks of")
    shared = _one(parts[Part.SHARED], _shared)
    if shared is not None and (inclusions or len(shared.indices) != len(records)):
        raise FormatError("proof.shared", "a shared inclusion is for all records, or not there")
    if parts[Part.TRANSACTION]:
        from tallystick import transaction

        sent = transaction.parse(parts[Part.TRANSACTION][0])
        if anchor is None:
            raise FormatError("proof.transaction", "a transaction without the anchor it carries")
        anchor = anchor.replace(transaction=sent)
    return Proof(
        records=records,
        opens=_of_kind(parts[Part.OPEN], Kind.OPEN),
        rotations=_of_kind(parts[Part.ROTATION], Kind.ROTATE),
        inclusions=inclusions,
        bare_checkpoint=bare,
        anchor=anchor,
        anchored_checkpoint=checkpoint.parse(anchor.block.carried) if anchor else None,
        credential=_one(parts[Part.CREDENTIAL], credential.parse),
        statements=_statements(parts[Part.STATEMENT]),
        links=_links(parts[Part.LINK], records),
        before=_one(parts[Part.BEFORE], milestone.parse),
        forks=tuple(_fork(raw) for raw in parts[Part.FORK]),
        cosigned=cosigned,
        shared=shared,
    )


def _container(data: bytes) -> cbor.Value:
    """The list of parts."""
    if data.startswith(_START):
        # the rest is plain lists: half the time for what has a hundred thousand parts
        listed = cbor.decode_lists(data[len(_START) :], 2)
        if listed is not None:
            return listed
    value = cbor.decode(data)
    if not isinstance(value, list) or len(value) != 3 or value[0] != MAGIC:
        raise FormatError("proof.magic", "not a proof file: it starts otherwise")
    if value[1] != VERSION or not is_int(value[1]):
        raise FormatError(
            "proof.version",
            f"version {value[1]!r}, this program reads {VERSION}",
            hint="use a newer Tallystick",
        )
    return value[2]


def _sorted_parts(value: cbor.Value) -> dict[Part, list[bytes]]:
    if not isinstance(value, list):
        raise FormatError("proof.parts", "the parts are not an array")
    if len(value) > limits.PROOF_PARTS:
        raise LimitError("proof.parts", f"{len(value)} parts")
    parts: dict[Part, list[bytes]] = {part: [] for part in Part}
    last = 0
    for item in value:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], bytes):
            raise FormatError("proof.parts", "a part is [type, bytes]")
        number, raw = item[0], item[1]
        # is_int first: a boolean would pass as the number 1
        if not is_int(number) or (part := _PARTS.get(number)) is None:
            raise FormatError("proof.part-type", f"part type {number!r} is not known")
        if number < last:
            raise FormatError("proof.order", f"part type {number} after {last}")
        last = number
        parts[part].append(raw)
    for single in _AT_MOST_ONE:
        if len(parts[single]) > 1:
            raise FormatError("proof.count", f"more than one {single.name.lower()}")
    return parts


def _one(raws: list[bytes], read: Callable[[bytes], T]) -> T | None:
    return read(raws[0]) if raws else None


def _chain_records(raws: list[bytes], what: str) -> tuple[Record, ...]:
    records = tuple(record.parse(raw) for raw in raws)
    for before, after in itertools.pairwise(records):
        if after.seq <= before.seq:
            raise FormatError("proof.order", f"{what} {after.seq} after {before.seq}")
    return records


def _of_kind(raws: list[bytes], kind: Kind) -> tuple[Record, ...]:
    records = _chain_records(raws, kind.name.lower())
    for one in records:
        if one.kind is not kind:
            raise FormatError("proof.kind", f"seq {one.seq} is no {kind.name.lower()}")
    return records


def _links(raws: list[bytes], records: tuple[Record, ...]) -> tuple[Record, ...]:
    links = _chain_records(raws, "link")
    if links and links[-1].seq >= records[0].seq:
        raise FormatError("proof.order", "a link lies after the first record")
    return links


def _inclusion(raw: bytes) -> Inclusion:
    value = cbor.decode(raw)
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError("proof.inclusion", "an inclusion is [index, path]")
    return Inclusion(uint(value[0], "index", limits.TREE_SIZE), milestone.hashes(value[1], "path"))


def parse_cosigned(raw: bytes) -> Cosigned:
    """`raw` as [note, path]; `FormatError` or `LimitError` otherwise. Nothing is verified."""
    value = cbor.decode(raw)
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], bytes):
        raise FormatError("proof.cosigned", "a cosigned checkpoint is [note, path]")
    path = milestone.hashes(value[1], "path", limits.PATH_HASHES)
    return Cosigned(checkpoint.parse(value[0]), path)


def _shared(raw: bytes) -> SharedInclusion:
    value = cbor.decode(raw)
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], list):
        raise FormatError("proof.shared", "a shared inclusion is [indices, hashes]")
    indices = tuple(uint(index, "index", limits.TREE_SIZE) for index in value[0])
    if len(set(indices)) != len(indices):
        raise FormatError("proof.shared", "two records at one place of the log")
    return SharedInclusion(indices, milestone.hashes(value[1], "hashes", limits.PROOF_PARTS))


def _statements(raws: list[bytes]) -> tuple[tuple[Confirmed, Statement], ...]:
    if not raws:
        return ()
    from tallystick import statement

    found: list[tuple[Confirmed, Statement]] = []
    for raw in raws:
        confirmed = _confirmed(raw)
        if confirmed.block.kind is not BlockKind.STATEMENT:
            raise FormatError("proof.statement", "the block carries no statement")
        if found and confirmed.position <= found[-1][0].position:
            raise FormatError("proof.order", "statements stand in the order of their positions")
        found.append((confirmed, statement.parse(confirmed.block.carried)))
    return tuple(found)


def _confirmed(raw: bytes) -> Confirmed:
    confirmed = milestone.parse_confirmed(raw)
    # one place for it, so that one proof has one spelling
    if confirmed.transaction is not None:
        raise FormatError("proof.transaction", "the transaction stands in part 7 and nowhere else")
    return confirmed


def _without_transaction(anchor: bytes | None) -> tuple[bytes | None, bytes | None]:
    """`confirmed` as a proof file has it, and the transaction's part if it came with one."""
    if anchor is None:
        return None, None
    confirmed = milestone.parse_confirmed(anchor)
    if confirmed.transaction is None:
        return anchor, None
    bare = confirmed.replace(transaction=None)
    return bare.encode(), confirmed.transaction.encode()


def _fork(raw: bytes) -> tuple[Record, Record]:
    value = cbor.decode(raw)
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError("proof.fork", "a fork is a pair of records")
    first, second = value[0], value[1]
    if not isinstance(first, bytes) or not isinstance(second, bytes):
        raise FormatError("proof.fork", "a fork is a pair of records")
    return record.parse(first), record.parse(second)
