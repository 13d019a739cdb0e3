"""Tallystick: sensor readings that can prove where they came from.

The library knows the formats of docs/format.md and their rules, and nothing else: bytes in, values
or errors out; no file, no network, no clock::

    import tallystick

    verdict = tallystick.verify.verify(data, tallystick.policy.parse(toml))
    if verdict.status is tallystick.Status.VERIFIED: ...

Each noun of the specification is a module of its name.
"""

from __future__ import annotations

from tallystick import policy, proof, verify
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Check, Outcome, Status, Verdict

__all__ = [
    "Check",
    "Outcome",
    "Policy",
    "Proof",
    "Status",
    "TallystickError",
    "Verdict",
    "policy",
    "proof",
    "verify",
]
