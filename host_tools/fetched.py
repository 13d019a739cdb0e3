"""A proof file that somebody sent: is it about what was asked, and the ledger's statements added to it.

Nothing is verified here (`tally verify` does): it is only made sure that the file that is written is a proof file
about the device and the records that were asked for. Parts are carried over byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallystick import cbor, did, limits, milestone, proof, record, statement
from tallystick.errors import FormatError, TallystickError
from tallystick.proof import Part, Proof
from tallystick_host import limits as host_limits
from tallystick_host.errors import UndoneError
from tallystick_host.question import AtSeq, Between, Question
from tallystick_host.words import span

__all__ = [
    "check",
    "file_name",
    "statements",
    "with_cosigned",
    "with_parts",
    "with_statements",
]


def check(data: bytes, id: str, asked: Question) -> Proof:
    """`data` as a proof about device `id` that answers `asked`; `UndoneError` otherwise."""
    try:
        parsed = proof.parse(data)
    except TallystickError as error:
        raise UndoneError(f"what came is no proof file: {error.detail}", code=error.code) from error
    credential = parsed.credential
    if credential is None:
        raise UndoneError("the proof says not whose it is: no credential", code="proof.device")
    subject = record.device_id(credential.device_key).hex()
    if subject != id:
        raise UndoneError(f"the proof is about device {subject}, not {id}", code="proof.device")
    seqs = [one.seq for one in parsed.records]
    holds = span(seqs[0], seqs[-1])
    if isinstance(asked, AtSeq) and asked.seq not in seqs:
        raise UndoneError(f"the proof holds seq {holds}, not {asked.seq}", code="proof.asked")
    if isinstance(asked, Between) and not asked.first <= seqs[0] <= seqs[-1] <= asked.last:
        raise UndoneError(
            f"the proof holds seq {holds}, asked was {span(asked.first, asked.last)}",
            code="proof.asked",
        )
    return parsed


def statements(pages: Callable[[int], bytes], id: str) -> list[bytes]:
    """All `confirmed` byte strings of a ledger about device `id`, in the order of their positions.

    `pages` gives the ledger's answer (a CBOR array of them) from a position on; an empty one is the end.
    """
    found: list[bytes] = []
    start = size = 0
    while True:
        try:
            page = _page(pages(start), id, start)
        except TallystickError as error:
            raise UndoneError(
                f"what the ledger sent are no statements about {id}: {error.detail}",
                code=error.code,
            ) from error
        if not page:
            return found
        for position, raw in page:
            found.append(raw)
            size += len(raw)
            start = position + 1
        if size > host_limits.STATEMENTS_BYTES:
            raise UndoneError("the ledger sends statements without an end", code="source.too-long")


def with_statements(data: bytes, raws: Sequence[bytes]) -> bytes:
    """The proof file `data` with these statements in the place of those that it has; the other parts as they are."""
    return with_parts(data, Part.STATEMENT, raws)


def with_cosigned(data: bytes, raw: bytes) -> bytes:
    """The proof file `data` with this `cosigned` in the place of one that it has."""
    return with_parts(data, Part.COSIGNED, [raw])


def with_parts(
    data: bytes, part_type: Part, raws: Sequence[bytes], *, without: Part | None = None
) -> bytes:
    """The proof file `data` with these parts in the place of those of their type that it has, and none of the type
    `without`; the other parts as they are.
    """
    parts = cbor.decode(data, limit=limits.PROOF_BYTES)
    if not isinstance(parts, list) or not isinstance(parts[2], list):
        raise FormatError("proof.parts", "the parts are not an array")
    kept = [part for part in parts[2] if _type(part) not in (part_type, without)]
    after = next((i for i, part in enumerate(kept) if _type(part) > part_type), len(kept))
    added = [[part_type.value, raw] for raw in raws]
    grown = cbor.encode([parts[0], parts[1], [*kept[:after], *added, *kept[after:]]])
    proof.parse(grown)
    return grown


def file_name(parsed: Proof, id: str) -> str:
    """<id>-<seq>.tally, of several records <id>-<first>-<last>.tally."""
    first, last = parsed.records[0].seq, parsed.records[-1].seq
    return f"{id}-{first}.tally" if first == last else f"{id}-{first}-{last}.tally"


def _page(data: bytes, id: str, start: int) -> list[tuple[int, bytes]]:
    """One answer of a ledger: (position, `confirmed`), the positions ascending from `start` on."""
    value = cbor.decode(data, limit=host_limits.STATEMENTS_BYTES)
    if not isinstance(value, list):
        raise FormatError("statement.list", "not an array")
    page: list[tuple[int, bytes]] = []
    for raw in value:
        if not isinstance(raw, bytes):
            raise FormatError("statement.list", "not an array of byte strings")
        confirmed = milestone.parse_confirmed(raw)
        said = statement.parse(confirmed.block.carried)
        if record.device_id(did.public_key(said.device)).hex() != id:
            raise FormatError("statement.device", f"one is about {said.device}")
        # stops a ledger that repeats itself from keeping us for ever
        if confirmed.position < start:
            raise FormatError("statement.order", "positions do not ascend")
        start = confirmed.position + 1
        page.append((confirmed.position, raw))
    return page


def _type(part: cbor.Value) -> int:
    if isinstance(part, list) and isinstance(part[0], int):
        return part[0]
    raise FormatError("proof.parts", "a part is [type, bytes]")
