"""What a file says of itself, as facts: proof, record, checkpoint, block, credential, grant and the other messages.

Nothing is verified and nothing is trusted: signatures are shown as present, not as good. `inspect` finds out what
the bytes are (a note is text, all else is CBOR; a signed object says its `typ`) and returns nested facts, ready for
JSON: hashes in hexadecimal, times in RFC 3339, values scaled exactly by the `open` that is at hand.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from tallystick import (
    block,
    cbor,
    checkpoint,
    credential,
    message,
    milestone,
    proof,
    receipt,
    record,
    statement,
    update,
)
from tallystick.block import Block, BlockKind
from tallystick.body import Open, Readings
from tallystick.checkpoint import Checkpoint
from tallystick.cose import TYP_LABEL, Typ
from tallystick.errors import FormatError, TallystickError
from tallystick.milestone import Confirmed, Milestone
from tallystick.proof import Cosigned, Proof
from tallystick.record import Record
from tallystick.statement import Statement
from tallystick.transaction import Transaction
from tallystick_host import update_file
from tallystick_host.record_facts import Facts, milestone_ref, plain, record_facts, signed_facts
from tallystick_host.words import rfc3339

__all__ = ["block_facts", "inspect"]

_NOTE_MARK: Final = "\n\n\N{EM DASH} ".encode()


def inspect(data: bytes) -> Facts:
    """The facts in `data`; `FormatError` or another error of the library if it is nothing of ours."""
    # no CBOR of ours starts with an ASCII character, every note does
    if data[:1].isascii():
        if _NOTE_MARK not in data:
            raise FormatError("inspect.unknown", "nothing that Tallystick writes")
        return {"what": "checkpoint", **_checkpoint(checkpoint.parse(data))}
    value = cbor.decode(data)
    if isinstance(value, list):
        if value[:1] == [proof.MAGIC]:
            return {"what": "proof", **_proof(proof.parse(data))}
        if value[:1] == [update.MAGIC]:
            return {"what": "update", **update_file.facts(update.parse(data))}
        if len(value) == 4 and isinstance(value[0], bytes):
            return {"what": "confirmed block", **_confirmed(milestone.parse_confirmed(data))}
        if len(value) == 4:
            return {"what": "receipt", **_receipt(data)}
    typ = _typ(value)
    for known, (what, facts) in _SIGNED.items():
        if typ == known:
            return {"what": what, **facts(data)}
    raise FormatError("inspect.unknown", "nothing that Tallystick writes")


def _record(data: bytes) -> Facts:
    return record_facts(record.parse(data), None)


def _typ(value: cbor.Value) -> object:
    """The `typ` in the protected header of a signed object, None if it is none."""
    if not isinstance(value, cbor.Tagged) or not isinstance(value.value, list):
        return None
    header = value.value[0] if value.value else None
    try:
        protected = cbor.decode(header) if isinstance(header, bytes) else None
    except TallystickError:
        return None
    return protected.get(TYP_LABEL) if isinstance(protected, dict) else None


# ---- signed objects --------------------------------------------------------------------------


def _grant(data: bytes) -> Facts:
    one = message.parse_grant(data)
    return {
        "gateway": one.key.kid.hex(),
        "key": one.key.raw.hex(),
        "origin": one.origin,
        "serial": one.serial,
        **signed_facts(one.signed),
    }


def _credential(data: bytes) -> Facts:
    one = credential.parse(data)
    return {
        "issuer": one.issuer,
        "subject": one.subject,
        "device": record.device_id(one.device_key).hex(),
        "not before": rfc3339(one.not_before),
        "expires": None if one.expires is None else rfc3339(one.expires),
        "key in force": None if one.key is None else one.key.raw.hex(),
        "role": one.role,
        "board": one.board,
        **signed_facts(one.signed),
    }


def _acknowledgement(data: bytes) -> Facts:
    one = message.parse_acknowledgement(data)
    return {
        "device": one.device.hex(),
        "upto": one.upto,
        "id of upto": None if one.id is None else one.id.hex(),
        "missing": [f"{hole.start}..{hole.stop - 1}" for hole in one.missing],
        "time": rfc3339(one.time),
        "log": {"size": one.size, "root": one.root.hex()},
        "milestone": milestone_ref(one.milestone),
        "nonce": one.nonce.hex(),
        **signed_facts(one.signed),
    }


def _command(data: bytes) -> Facts:
    one = message.parse_command(data)
    return {
        "device": one.device.hex(),
        "counter": one.counter,
        "name": one.name,
        "args": [plain(arg) for arg in one.args],
        **signed_facts(one.signed),
    }


def _challenge(data: bytes) -> Facts:
    one = message.parse_challenge(data)
    return {
        "device": one.device.hex(),
        "nonce": one.nonce.hex(),
        "key": one.key.raw.hex(),
        "next": one.next,
        **signed_facts(one.signed),
    }


def _statement(data: bytes) -> Facts:
    return _statement_facts(statement.parse(data))


def _statement_facts(one: Statement) -> Facts:
    return {
        "device": one.device,
        "ledger": one.ledger.hex(),
        "says": one.kind.name.lower(),
        "args": [plain(arg) for arg in one.args],
        "previous": None if one.previous is None else one.previous.hex(),
        **signed_facts(one.signed),
    }


# ---- log and ledger --------------------------------------------------------------------------


def _checkpoint(one: Checkpoint) -> Facts:
    return {
        "origin": one.origin,
        "size": one.size,
        "root": one.root.hex(),
        "root base64": base64.b64encode(one.root).decode(),
        "signature lines": [f"{line.name} {line.key_id.hex()}" for line in one.note.signatures],
    }


def _block(data: bytes) -> Facts:
    return block_facts(block.parse(data))


def block_facts(one: Block) -> Facts:
    """What a block says of itself."""
    facts: Facts = {
        "block": one.id.hex(),
        "kind": one.kind.name.lower(),
        "time": rfc3339(one.time),
        "parents": [parent.hex() for parent in one.parents],
        "signed by key": one.signed.kid.hex(),
    }
    match one.kind:
        case BlockKind.GENESIS:
            facts["ledger"] = block.ledger_id(one.raw).hex()
            facts["name"] = one.carried.decode()
        case BlockKind.MILESTONE:
            facts["milestone"] = _milestone(milestone.parse(one.raw))
        case BlockKind.ANCHOR:
            facts["checkpoint"] = _checkpoint(checkpoint.parse(one.carried))
        case BlockKind.STATEMENT:
            facts["statement"] = _statement(one.carried)
    return facts


def _milestone(one: Milestone) -> Facts:
    return {
        "id": one.id.hex(),
        "ledger": one.ledger.hex(),
        "index": one.index,
        "time": rfc3339(one.time),
        "size": one.size,
        "root": one.root.hex(),
        "previous": one.previous.hex(),
        "signed by key": one.block.signed.kid.hex(),
    }


def _transaction(one: Transaction) -> Facts:
    later = one.later
    return {
        "hash": f"0x{one.hash.hex()}",
        "account": str(one.account),
        "nonce": one.nonce,
        "data": one.data.hex(),
        "names": "the anchor's own checkpoint"
        if later is None
        else f"the ledger's checkpoint of {later.size} blocks",
    }


def _confirmed(one: Confirmed) -> Facts:
    facts = _bare_confirmed(one)
    if one.transaction is not None:
        facts["transaction"] = _transaction(one.transaction)
    return facts


def _bare_confirmed(one: Confirmed) -> Facts:
    return {
        "position": one.position,
        "path": [step.hex() for step in one.path],
        "block": block_facts(one.block),
        "milestone": _milestone(one.milestone),
    }


def _cosigned(one: Cosigned) -> Facts:
    return {
        "checkpoint": _checkpoint(one.checkpoint),
        "path": [step.hex() for step in one.path],
    }


def _receipt(data: bytes) -> Facts:
    one = receipt.parse(data)
    return {
        "state": one.state.name.lower(),
        "block": one.block.hex(),
        "detail": one.detail,
        "confirmed": None if one.confirmed is None else _confirmed(one.confirmed),
    }


# ---- the proof -------------------------------------------------------------------------------


def _proof(one: Proof) -> Facts:
    opens = {r.seq: r.body for r in (*one.opens, *one.links, *one.records)}

    def told(entry: Record) -> Facts:
        opened = opens.get(entry.body.boot) if isinstance(entry.body, Readings) else None
        return record_facts(entry, opened if isinstance(opened, Open) else None)

    facts: Facts = {
        "credential": _credential(one.credential.signed.raw) if one.credential else None,
        "records": [told(entry) for entry in one.records],
        "opens": [told(entry) for entry in one.opens],
        "rotations": [told(entry) for entry in one.rotations],
        "inclusions": [
            {"index": inclusion.index, "path": [step.hex() for step in inclusion.path]}
            for inclusion in one.inclusions
        ],
        "checkpoint": _checkpoint(one.checkpoint) if one.checkpoint else None,
        "anchor": _confirmed(one.anchor) if one.anchor else None,
        "statements": [
            {"position": confirmed.position, **_statement_facts(said)}
            for confirmed, said in one.statements
        ],
        "links": [told(entry) for entry in one.links],
        "before": _milestone(one.before) if one.before else None,
        "forks": [[told(entry) for entry in pair] for pair in one.forks],
        "cosigned": _cosigned(one.cosigned) if one.cosigned else None,
    }
    return {name: value for name, value in facts.items() if value not in (None, [])}


def _manifest(data: bytes) -> Facts:
    return update_file.manifest_facts(update.parse_manifest(data))


_SIGNED: Final[Mapping[Typ, tuple[str, Callable[[bytes], Facts]]]] = {
    Typ.RECORD: ("record", _record),
    Typ.ACKNOWLEDGEMENT: ("acknowledgement", _acknowledgement),
    Typ.COMMAND: ("command", _command),
    Typ.CHALLENGE: ("challenge", _challenge),
    Typ.GRANT: ("grant", _grant),
    Typ.UPDATE: ("update manifest", _manifest),
    Typ.BLOCK: ("block", _block),
    Typ.STATEMENT: ("statement", _statement),
    Typ.CREDENTIAL: ("credential", _credential),
}
