"""The policy's file: read for verification, extended by whom to trust.

A new entry is appended as text, so that the comments and the order of whoever keeps the file survive. The whole new
text is read by `tallystick.policy.parse` before it replaces the old one: a policy on disk is always one that verifies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tallystick import did
from tallystick.account import parse_account
from tallystick.cosignature import WitnessKey
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick.policy import Bridge, Log, Policy, Witness
from tallystick_host import files
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.trusted import check, read, text_of

__all__ = ["HEADER", "Role", "Trusted", "check", "facts", "read", "table", "text_of", "trust"]

Role: TypeAlias = Literal["gateway", "ledger", "bridge", "issuer", "witness"]

HEADER: Final = """\
# Whom this verifier trusts. docs/format.md, section 12, says what for.
# tally policy trust gateway|ledger|bridge|issuer|witness LINE appends to this file.
version = 1
"""
_TABLES: Final = {
    "gateway": "gateways",
    "ledger": "ledgers",
    "bridge": "bridges",
    "issuer": "issuers",
    "witness": "witnesses",
}
_PRINTED_BY: Final = {
    "gateway": "tally-gateway identity prints the line",
    "ledger": "tally-ledger identity prints the line",
    "bridge": "tally-ledger bridge identity prints the line",
    "witness": "a witness's verifier key reads name+hex+base64",
    "issuer": "an issuer is named by its did:key",
}


@dataclass(frozen=True)
class Trusted:
    """What `trust` did: `added` is False if the line was trusted already."""

    added: bool
    role: Role
    line: str


def trust(
    path: Path, role: Role, line: str, *, name: str = "", operator: str = "", **asked: str | int
) -> Trusted:
    """Add `line` to the policy at `path`, if it is not there. `UseError` leaves the file as it was.

    `asked`: what the entry of a bridge asks for besides, `state` and `depth`.
    """
    line = _canonical(role, line)
    read(path)
    with files.locked(path):
        return _append(path, role, line, name, operator, asked)


def table(
    role: Role,
    line: str,
    *,
    name: str = "",
    operator: str = "",
    asked: Mapping[str, str | int] | None = None,
) -> str:
    """The TOML table of one entry."""
    fields = {"did" if role == "issuer" else "vkey": line}
    if role == "bridge":
        fields["vkey"], fields["account"] = line.split()
    if name:
        fields["name"] = name
    if operator:
        if role == "issuer":
            raise UseError("an issuer has a --name and no --operator")
        fields["operator"] = operator
    for key, value in fields.items():
        if not value.isprintable():
            raise UseError(f"{key} {value!r} holds characters that cannot be shown")
    # a JSON string of printable characters is a TOML basic string, a JSON integer one of TOML's
    entries = {**fields, **(asked or {})}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    return "\n".join([f"[[{_TABLES[role]}]]", *lines, ""])


def _append(
    path: Path, role: Role, line: str, name: str, operator: str, asked: Mapping[str, str | int]
) -> Trusted:
    present = read(path)
    if role == "issuer":
        if present.issuer(line) is not None:
            return Trusted(False, role, line)
    else:
        for log in _logs(present, role):
            if _line(log) == line:
                return Trusted(False, role, line)
            # stops a second key under one name, of which a verifier would take the first
            if log.vkey.name == line.partition("+")[0]:
                raise UseError(
                    f"{log.vkey.name} is trusted already, with another key",
                    code="policy.name-taken",
                    hint=f"if its key was really replaced, take the old entry out of {path}",
                )
    old = text_of(path)
    text = old + ("" if old.endswith("\n") else "\n")
    text += "\n" + table(role, line, name=name, operator=operator, asked=asked)
    grown = check(text)
    trusted = (
        grown.issuer(line) is not None
        if role == "issuer"
        else line in {_line(log) for log in _logs(grown, role)}
    )
    if not trusted:
        raise UndoneError("the new entry does not show in the policy; nothing was written")
    files.replace(path, text.encode())
    return Trusted(True, role, line)


def facts(given: Policy) -> dict[str, object]:
    """The policy for `--json`."""

    def logs(entries: Sequence[Log | Witness]) -> list[dict[str, str]]:
        return [
            {"name": log.name, "operator": log.operator, "vkey": str(log.vkey)} for log in entries
        ]

    return {
        "schema": 1,
        "issuers": [{"name": one.name, "did": one.did} for one in given.issuers],
        "gateways": logs(given.gateways),
        "ledgers": logs(given.ledgers),
        "bridges": [
            {**entry, "account": str(one.account), "state": str(one.state), "depth": one.depth}
            for one, entry in zip(given.bridges, logs(given.bridges), strict=True)
        ],
        "witnesses": logs(given.witnesses),
        "required": list(given.required),
        "quorum": given.quorum,
        "boards": list(given.boards),
        "agents": [one.hex() for one in given.agents],
        "anchor_age_s": given.anchor_age_s,
    }


def _canonical(role: Role, line: str) -> str:
    line = line.strip()
    try:
        if role == "issuer":
            did.public_key(line)
            return line
        if role == "bridge":
            vkey, _, account = line.partition(" ")
            return f"{VerifierKey.parse(vkey)} {parse_account(account)}"
        return str((WitnessKey if role == "witness" else VerifierKey).parse(line))
    except TallystickError as error:
        raise UseError(
            error.detail, code=error.code, hint=error.hint or _PRINTED_BY[role]
        ) from error


def _logs(given: Policy, role: Role) -> Sequence[Log | Witness]:
    by_role: dict[str, Sequence[Log | Witness]] = {
        "gateway": given.gateways,
        "ledger": given.ledgers,
        "bridge": given.bridges,
        "witness": given.witnesses,
    }
    return by_role[role]


def _line(log: Log | Witness) -> str:
    """What its own command prints, and `trust` takes."""
    return f"{log.vkey} {log.account}" if isinstance(log, Bridge) else str(log.vkey)
