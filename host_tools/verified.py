"""One proof file, read once and verified: what a report and an export begin with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tallystick import embedded, limits, proof, verify
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Verdict
from tallystick_host import files
from tallystick_host.errors import UndoneError
from tallystick_host.words import shown_path

__all__ = ["Verified", "verdict_on", "verified"]


@dataclass(frozen=True)
class Verified:
    """The file's name for people, the bytes of the proof (out of a report, if it is one), its parts, its verdict."""

    name: str
    data: bytes
    proof: Proof
    verdict: Verdict


def verified(path: Path, trusted: Policy, nodes: tuple[str, ...] = ()) -> Verified:
    """The proof at `path` under a policy; `UndoneError` if there is none that can be read. The age of an anchor is
    taken by this computer's clock. `nodes`: URLs of nodes of other ledgers, which may be asked.
    """
    name = shown_path(path)
    data = files.read(path, limits.PROOF_BYTES)
    try:
        data = embedded.proof_in(data) if embedded.is_html(data) else data
        parsed = proof.parse(data)
    except TallystickError as error:
        raise UndoneError(
            f"{name!r}: {error}",
            code="proof.format",
            hint="tally inspect says what a file is",
        ) from error
    return Verified(name, data, parsed, verdict_on(parsed, trusted, nodes))


def verdict_on(parsed: Proof, trusted: Policy, nodes: tuple[str, ...] = ()) -> Verdict:
    """The verdict by this computer's clock; `nodes` are asked for a transaction if the policy wants one."""
    now = int(time.time())
    if not nodes:
        return verify.verify(parsed, trusted, now=now)
    from tallystick_host import other_ledger

    seen, trouble = other_ledger.looked_up(nodes, trusted, parsed)
    verdict = verify.verify(parsed, trusted, now=now, seen=seen)
    return verdict.replace(warnings=(*verdict.warnings, *trouble)) if trouble else verdict
