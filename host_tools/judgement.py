"""The verdict on one file, and what the run needs to know of it besides."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from contextlib import ContextDecorator
from hashlib import blake2b
from typing import TYPE_CHECKING

from tallystick import verify
from tallystick.body import Event, EventCode
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.record import Record
from tallystick.value import Value
from tallystick.verdict import Check, Outcome, Verdict
from tallystick.verification.records import SignatureCheck, check_signatures
from tallystick.verification.tail import Head
from tallystick_host.proof_files import ProofFile
from tallystick_host.words import shown

if TYPE_CHECKING:
    from tallystick.jcs import Object
    from tallystick.settlement import Seen
    from tallystick_host.forks import Fork

__all__ = ["ROW_BYTES", "Judged", "Settings", "judge"]

ROW_BYTES = 24
_FORK = "chain.fork"


class Settings(Value):
    """What is the same for every file of a run. `form` is "quiet", "lines", "steps" or "json"; `names` are what people
    call the devices, by DID; `salt` keeps anybody from choosing records whose `rows` collide; `nodes` are URLs of nodes
    of other ledgers, which may hold a secret and are never shown.
    """

    policy: Policy
    form: str
    salt: bytes
    now: int
    names: Mapping[str, str] = {}
    lists: Sequence[Object] = ()
    nodes: tuple[str, ...] = ()


class Judged(Value):
    """One file: its verdict, and as text what is to be printed of it.

    `rows`: for each key (kid), of each record in the file that it signed, seq, a hash of the id and a hash of prev, 8
    bytes each; only if the file is to be compared with others.
    """

    verdict: Verdict
    text: str
    rows: Mapping[bytes, bytes] = {}


class _Trees(ContextDecorator):
    """Around work that makes nothing but trees, which counting references frees: looking for cycles among a hundred
    thousand records again and again would take the time of four thousand signatures.
    """

    def __enter__(self) -> None:
        self._before = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._before:
            gc.enable()


@_Trees()
def judge(
    file: ProofFile,
    settings: Settings,
    *,
    compare: bool = False,
    check: SignatureCheck = check_signatures,
    heads: Sequence[Head] = (),
    forks: Sequence[tuple[Fork, str]] = (),
) -> Judged:
    """The verdict on `file`. `forks`: pairs from this and other files that prove a fork of its device, each with the
    words that say where the two records stand.
    """
    loaded = file.load()
    if isinstance(loaded, Check):
        verdict = Verdict((loaded,))
        return Judged(verdict, _text(file, verdict, settings, None))
    proof = loaded
    if forks:
        pairs = tuple((fork.first, fork.second) for fork, _ in forks)
        proof = loaded.replace(forks=loaded.forks + pairs)
    seen: Mapping[bytes, Seen] = {}
    trouble: tuple[str, ...] = ()
    if settings.nodes:
        from tallystick_host import other_ledger

        seen, trouble = other_ledger.looked_up(settings.nodes, settings.policy, proof)
    verdict = verify.verify(
        *(proof, settings.policy, settings.lists),
        heads=heads,
        now=settings.now,
        seen=seen,
        check=check,
    )
    if trouble:
        verdict = verdict.replace(warnings=(*verdict.warnings, *trouble))
    if forks:
        verdict = _told(verdict, "; ".join(where for _, where in forks))
    text = _text(file, verdict, settings, loaded)
    return Judged(verdict, text, _rows(loaded, settings.salt) if compare else {})


def _text(file: ProofFile, verdict: Verdict, settings: Settings, proof: Proof | None) -> str:
    name = shown(settings.names.get(verdict.device or "", ""))
    if settings.form == "quiet":
        return ""
    if settings.form == "json":
        import json

        from tallystick_host.verdict_json import facts

        return json.dumps(facts(file.name, verdict, settings.policy, name), ensure_ascii=False)
    from tallystick_host import verdict_lines

    shown_steps = proof if settings.form == "steps" else None
    return "\n".join(verdict_lines.lines(file.name, verdict, name, shown_steps))


def _told(verdict: Verdict, detail: str) -> Verdict:
    """The verdict, with the places of the pair where only its ids stood."""
    checks = tuple(
        check.replace(detail=detail)
        if check.code == _FORK and check.result is Outcome.UNTRUSTED
        else check
        for check in verdict.checks
    )
    return verdict.replace(checks=checks)


def _rows(proof: Proof, salt: bytes) -> dict[bytes, bytes]:
    rows: dict[bytes, bytearray] = {}
    pairs = (one for pair in proof.forks for one in pair)
    last, short = b"", b""  # the next record's `prev` is this record's id
    for one in (*proof.records, *proof.links, *proof.opens, *proof.rotations, *pairs):
        prev = short if one.prev == last else _short(one.prev, salt)
        last, short = one.id, _short(one.id, salt)
        row = one.seq.to_bytes(8, "big") + short + prev
        rows.setdefault(one.signed.kid, bytearray()).extend(row)
    return {kid: bytes(held) for kid, held in rows.items()}


def _short(id: bytes, salt: bytes) -> bytes:
    return blake2b(id, digest_size=8, key=salt).digest()


def where(fork: Fork, names: tuple[str, str]) -> str:
    """Where the two records of a fork stand, for people."""
    seq = min(fork.first.seq, fork.second.seq)
    first, second = (
        f"{_named(one)} in {name}"
        for one, name in zip((fork.first, fork.second), names, strict=True)
    )
    return f"fork at seq {seq}: {first} and {second} (a cloned or restored key)"


def _named(one: Record) -> str:
    """What a person needs to find it; an `adopted` may stand there because the gateway lost a branch."""
    adopted = isinstance(one.body, Event) and one.body.code == EventCode.ADOPTED
    return f"{'adopted' if adopted else one.kind.name.lower()} {one.id.hex()[:16]}"
