"""Tallystick: sensor readings that can prove where they came from.

The library knows the formats of docs/format.md and their rules, and nothing else: bytes in, values
or errors out; no file, no network, no clock::

    import tallystick

    verdict = tallystick.verify.verify(data, tallystick.policy.parse(toml))
    if verdict.status is tallystick.Status.VERIFIED: ...

For a notebook it has one door to a file, `open`::

    rows = tallystick.open("cold-room-41.tally", policy="policy.toml").readings()

Each noun of the specification is a module of its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick import policy, proof, verify
from tallystick.errors import TallystickError, UnverifiedError
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
    "UnverifiedError",
    "Verdict",
    "open",
    "policy",
    "proof",
    "verify",
]

if TYPE_CHECKING:
    import os

    from tallystick.opened import Opened


def open(  # noqa: A001 - as in gzip.open: it stands behind the module's name
    path: str | os.PathLike[str], policy: str | os.PathLike[str] | Policy | None = None
) -> Opened:
    """The proof file (or the report) at `path`, verified under `policy`: see `tallystick.opened`."""
    from tallystick.opened import open_file  # the library itself needs no file

    return open_file(path, policy)
