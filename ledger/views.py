"""What the page shows of the DAG, as plain facts for JSON. Nothing here is evidence: `blocks/<id>/confirmed` is.

Ids are hex, times Unix seconds. A block's `position` and `milestone` are null until it is confirmed; one that
was pruned says nothing of itself.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from tallystick import block, checkpoint, did, milestone, statement
from tallystick.block import Block, BlockKind
from tallystick_ledger import dag
from tallystick_ledger.reader import Reader
from tallystick_ledger.state import about

__all__ = ["Facts", "dag_facts", "block_facts", "tip_ids"]

Facts: TypeAlias = "dict[str, Any]"

_KINDS: Final = {one.value: one.name.lower() for one in BlockKind}


def dag_facts(reader: Reader, before: int, limit: int) -> Facts:
    """The newest `limit` blocks that came before arrival `before`, the oldest first."""
    rows = reader.connection.execute(
        "SELECT arrival, id, kind, raw, position,"
        " (SELECT number FROM milestones WHERE size > position ORDER BY size LIMIT 1)"
        " FROM blocks LEFT JOIN places USING (arrival) WHERE arrival < ? ORDER BY arrival DESC LIMIT ?",
        (before, limit),
    ).fetchall()
    head = reader.head()
    newest = reader.milestone(head.index)
    return {
        "ledger": reader.ledger.hex(),
        "index": head.index,
        "size": head.size,
        "root": head.root.hex(),
        "time": newest.time if newest else None,
        "pending": reader.pending_count(),
        "forks": [{"index": number, "code": code} for number, _, _, code in reader.forks()],
        "blocks": [_row(*row) for row in reversed(rows)],
    }


def _row(
    arrival: int, name: bytes, kind: int, raw: bytes | None, position: int | None, by: int | None
) -> Facts:
    facts: Facts = {
        "arrival": arrival,
        "id": name.hex(),
        "kind": _KINDS[kind],
        "parents": [],
        "position": position,
        "milestone": by,
    }
    if raw is not None:
        parsed = block.parse(raw)
        facts["parents"] = [parent.hex() for parent in parsed.parents]
        facts["time"] = parsed.time
        facts["says"] = _words(parsed)
    return facts


def _words(parsed: Block) -> str:
    """A few words on a block, for its label."""
    match parsed.kind:
        case BlockKind.MILESTONE:
            return f"milestone {milestone.from_block(parsed).index}"
        case BlockKind.ANCHOR:
            note = checkpoint.parse(parsed.carried)
            return f"{note.origin}, size {note.size}"
        case BlockKind.STATEMENT:
            return statement.parse(parsed.carried).kind.name.lower()
        case BlockKind.GENESIS:
            return parsed.carried.decode()


def block_facts(reader: Reader, name: bytes) -> Facts | None:
    """All about one block: what it says, its children, its way into the tree; None if it is not here."""
    arrival = reader.arrival(name)
    if arrival is None:
        return None
    raw = reader.raw(name)
    facts: Facts = {"id": name.hex(), "arrival": arrival, "pruned": raw is None}
    if raw is not None:
        facts |= _content(block.parse(raw), reader.ledger)
    facts["children"] = _children(reader, arrival, name)
    position = reader.position(name)
    facts["position"] = position
    confirmed = None if raw is None else reader.confirmed(name)
    facts["confirmed"] = None
    if confirmed is not None:
        stone = confirmed.milestone
        cosigned = reader.cosigned(name)
        facts["confirmed"] = {
            "milestone": stone.index,
            "milestone_id": stone.id.hex(),
            "time": stone.time,
            "size": stone.size,
            "root": stone.root.hex(),
            "path": [one.hex() for one in confirmed.path],
            "witnesses": []
            if cosigned is None
            else [line.name for line in cosigned.checkpoint.note.signatures[1:]],
        }
    return facts


def _content(parsed: Block, ledger: bytes) -> Facts:
    facts: Facts = {
        "kind": parsed.kind.name.lower(),
        "bytes": len(parsed.raw),
        "time": parsed.time,
        "parents": [parent.hex() for parent in parsed.parents],
        "signed_by": parsed.signed.kid.hex(),
    }
    match parsed.kind:
        case BlockKind.GENESIS:
            facts["content"] = {"name": parsed.carried.decode(), "ledger": ledger.hex()}
        case BlockKind.MILESTONE:
            one = milestone.from_block(parsed)
            facts["content"] = {
                "index": one.index,
                "confirms": f"{one.first} to {one.size - 1}",
                "size": one.size,
                "root": one.root.hex(),
                "previous": one.previous.hex(),
            }
        case BlockKind.ANCHOR:
            note = checkpoint.parse(parsed.carried)
            facts["content"] = {
                "log": note.origin,
                "size": note.size,
                "root": note.root.hex(),
                "signed by": ", ".join(line.name for line in note.note.signatures),
            }
        case BlockKind.STATEMENT:
            said = statement.parse(parsed.carried)
            device = about(parsed, ledger).id or b""
            facts["content"] = {
                "says": said.kind.name.lower(),
                "device": said.device,
                "device id": device.hex() or did.public_key(said.device).kid.hex(),
                "previous": said.previous.hex() if said.previous else "none",
                "signed by key": said.signed.kid.hex(),
            }
    return facts


def _children(reader: Reader, arrival: int, name: bytes) -> list[str]:
    """Blocks that name this one, among the 2,000 that came next."""
    found: list[str] = []
    rows = reader.connection.execute(
        "SELECT raw FROM blocks WHERE arrival > ? AND raw IS NOT NULL ORDER BY arrival LIMIT 2000",
        (arrival,),
    )
    for (raw,) in rows:
        # the id stands in a child's bytes as it is: no need to take all apart
        if name in raw:
            parsed = block.parse(raw)
            if name in parsed.parents:
                found.append(parsed.id.hex())
                if len(found) == 8:
                    break
    return found


def tip_ids(reader: Reader) -> list[bytes]:
    """The unconfirmed blocks without children, oldest first."""
    pending = dag.Pending()
    for arrival, raw, _ in reader.pending():
        parsed = block.parse(raw)
        pending.attach(parsed.id, dag.Waiting(arrival, parsed.parents, dag.Roots(0, 0)))
    return pending.tips
