"""Proofs that cheat, one for each way that is known, and a few honest ones beside them, for `tools.vectors`.

A case of `tests/vectors/cheats.json`:

    name, cheat   what was done, and the kind of cheat that it is one of
    policy        whom the verifier trusts: the policy's TOML as JSON
    bytes         the proof file, hex
    verdict       VERIFIED, TAMPERED, PENDING, UNTRUSTED or UNDECIDED
    code, result  a check that the verdict must contain, and how it ended
    error         where the code is proof.format: the code of the error that it is undecided for
    heads, now    where a verifier is told more: later records as {seq, id}, and the time in Unix seconds

Every verifier gives the same. What a case expects is written down by hand; the library is only asked whether it
agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tallystick import cbor, policy, proof, verify
from tallystick.verification.tail import Head
from tests.world import World

__all__ = ["Cheat", "all_cheats", "case", "packed", "parts_of", "policy_table", "swapped"]

Parts = list[tuple[int, bytes]]
FORMAT = "proof.format"


@dataclass(frozen=True)
class Cheat:
    """One case before it is written; see the module."""

    cheat: str
    name: str
    data: bytes
    policy: dict[str, Any]
    verdict: str
    code: str
    result: str
    error: str = ""
    heads: tuple[tuple[int, bytes], ...] = ()
    now: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def policy_table(world: World, **require: Any) -> dict[str, Any]:
    """The policy that trusts everybody of `world`, as the table of its TOML."""
    table: dict[str, Any] = {
        "version": 1,
        "issuers": [{"did": world.issuer_did, "name": "Acme"}],
        "gateways": [{"vkey": str(world.log.vkey), "operator": "Acme"}],
        "ledgers": [{"vkey": str(world.ledger.vkey), "operator": "Harbour"}],
    }
    return {**table, "require": require} if require else table


def parts_of(data: bytes) -> Parts:
    """The parts of a proof file, each (type, bytes)."""
    value: Any = cbor.decode(data)
    return [(number, raw) for number, raw in value[2]]


def packed(parts: Parts, *, magic: object = "tally", version: object = 1) -> bytes:
    """A proof file of any parts, whether it is one or not."""
    return cbor.encode([magic, version, [list(part) for part in parts]])


def swapped(data: bytes, number: int, raw: bytes, at: int = 0) -> bytes:
    """The proof file with the bytes of one part (the `at`-th of its type) replaced."""
    parts = parts_of(data)
    places = [i for i, (found, _) in enumerate(parts) if found == number]
    parts[places[at]] = (number, raw)
    return packed(parts)


def case(one: Cheat) -> dict[str, Any]:
    """The case as the file has it; `ValueError` if the library says otherwise."""
    heads = [Head(seq, id, "elsewhere") for seq, id in one.heads]
    verdict = verify.verify(one.data, policy.from_table(one.policy), heads=heads, now=one.now)
    check = verdict.check(one.code)
    said = (verdict.status.value, check.result.value if check else "")
    if said != (one.verdict, one.result):
        raise ValueError(f"{one.cheat}: {one.name}: {said}, {verdict.checks}")
    if one.error and check and check.detail.partition(":")[0] != one.error:
        raise ValueError(f"{one.cheat}: {one.name}: {check.detail}")
    if one.code == FORMAT and one.result != "ok" and not one.error:
        raise ValueError(f"{one.cheat}: {one.name}: no error code")
    made: dict[str, Any] = {"name": one.name, "cheat": one.cheat, "policy": one.policy}
    made |= {"bytes": one.data.hex(), "verdict": one.verdict}
    made |= {"code": one.code, "result": one.result}
    if one.error:
        made["error"] = one.error
    if one.heads:
        made["heads"] = [{"seq": seq, "id": id.hex()} for seq, id in one.heads]
    if one.now is not None:
        made["now"] = one.now
    return made


def all_cheats() -> Iterator[Cheat]:
    """Each case, in a fixed order; names are unique."""
    from tools.cheats import asked, chains, containers, devices, ledgers, logs

    for module in (containers, devices, chains, logs, ledgers, asked):
        yield from module.cheats()


def rebuilt(data: bytes, **changes: Any) -> bytes:
    """A proof file with some arguments of `proof.build` replaced."""
    parsed = proof.parse(data)
    held: dict[str, Any] = {
        "records": [one.raw for one in parsed.records],
        "opens": [one.raw for one in parsed.opens],
        "rotations": [one.raw for one in parsed.rotations],
        "inclusions": [(one.index, one.path) for one in parsed.inclusions],
        "anchor": parsed.anchor.encode() if parsed.anchor else None,
        "checkpoint": parsed.bare_checkpoint.raw if parsed.bare_checkpoint else None,
        "credential": parsed.credential.signed.raw if parsed.credential else None,
        "statements": [confirmed.encode() for confirmed, _ in parsed.statements],
        "links": [one.raw for one in parsed.links],
        "before": parsed.before.block.raw if parsed.before else None,
    }
    return proof.build(**{**held, **changes})
