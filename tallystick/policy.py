"""A policy: whom the verifier trusts, and for what (TOML).

::

    version = 1

    [[issuers]]
    did = "did:key:z6Mk..."
    name = "Acme"

    [[gateways]]
    vkey = "tallystick/0123456789abcdef+1a2b3c4d+AW..."
    operator = "Acme"

    [[ledgers]]
    vkey = "tallystick-ledger/fedcba9876543210+5e6f7a8b+AW..."
    operator = "Harbour"

    [require]
    checks = ["record.signature", "chain.link", ...]     # the default is all of `REQUIRABLE`

Trust starts here and nowhere else: no key out of a proof is ever trusted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tallystick import did, limits
from tallystick.checkpoint import LEDGER_PREFIX, gateway_name
from tallystick.errors import LimitError, PolicyError, TallystickError
from tallystick.fields import is_int
from tallystick.keys import PublicKey
from tallystick.note import VerifierKey

__all__ = ["REQUIRABLE", "Issuer", "Log", "Policy", "parse"]

REQUIRABLE: Final = (
    "record.signature",
    "chain.link",
    "device.credential",
    "log.inclusion",
    "checkpoint.signature",
    "ledger.inclusion",
    "ledger.milestone",
)
VERSION: Final = 1
_LEDGER_NAME: Final = re.compile(re.escape(LEDGER_PREFIX) + "([0-9a-f]{16})")


@dataclass(frozen=True)
class Issuer:
    """Whose credentials count."""

    did: str
    key: PublicKey
    name: str = ""


@dataclass(frozen=True)
class Log:
    """A gateway's log, a ledger or a witness: its verifier key, and who runs it."""

    vkey: VerifierKey
    name: str = ""
    operator: str = ""

    @property
    def ledger(self) -> bytes:
        """The ledger id in the key's name (8 bytes)."""
        match = _LEDGER_NAME.fullmatch(self.vkey.name)
        if match is None:
            raise PolicyError("policy.ledger", f"{self.vkey.name!r} is not the name of a ledger")
        return bytes.fromhex(match[1])


@dataclass(frozen=True)
class Policy:
    """Whom to trust. An empty policy trusts nobody: every verdict is then UNTRUSTED at best."""

    issuers: tuple[Issuer, ...] = ()
    gateways: tuple[Log, ...] = ()
    ledgers: tuple[Log, ...] = ()
    witnesses: tuple[Log, ...] = ()
    required: tuple[str, ...] = REQUIRABLE

    def issuer(self, issuer_did: str) -> Issuer | None:
        """The trusted issuer of this DID."""
        return next((one for one in self.issuers if one.did == issuer_did), None)

    def gateway(self, origin: str) -> Log | None:
        """The trusted log of this origin."""
        return next((one for one in self.gateways if one.vkey.name == origin), None)

    def ledger(self, ledger: bytes) -> Log | None:
        """The trusted ledger of this id."""
        return next((one for one in self.ledgers if one.ledger == ledger), None)


def parse(text: bytes) -> Policy:
    """The policy in `text`; `PolicyError` says what is wrong with it and where."""
    if len(text) > limits.POLICY_BYTES:
        raise LimitError(
            "policy.too-long", f"{len(text)} bytes, the limit is {limits.POLICY_BYTES}"
        )
    try:
        table = tomllib.loads(text.decode())
    # tomllib lets through what int() and the stack say of 5,000 digits and of 5,000 brackets
    except (ValueError, RecursionError) as error:
        raise PolicyError("policy.toml", f"not TOML: {error}") from error
    # stops a misspelt table from silently trusting less, or requiring less, than its author meant
    _known(
        table, {"version", "issuers", "gateways", "ledgers", "witnesses", "require"}, "the policy"
    )
    if table.get("version") != VERSION or not is_int(table["version"]):
        raise PolicyError("policy.version", f"version = {table.get('version')!r}, expected 1")
    require = table.get("require", {})
    _known(require, {"checks"}, "[require]")
    return Policy(
        tuple(_issuer(one, i) for i, one in _tables(table, "issuers")),
        tuple(_gateway(one, i) for i, one in _tables(table, "gateways")),
        tuple(_ledger(one, i) for i, one in _tables(table, "ledgers")),
        tuple(_log(one, f"witnesses[{i}]") for i, one in _tables(table, "witnesses")),
        _required(require.get("checks", list(REQUIRABLE))),
    )


def _tables(table: Mapping[str, Any], name: str) -> list[tuple[int, Mapping[str, Any]]]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise PolicyError("policy.table", f"{name} is not a list of [[{name}]] tables")
    return list(enumerate(value))


def _known(table: object, allowed: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise PolicyError("policy.table", f"{where} is not a table")
    for key in table:
        if key not in allowed:
            raise PolicyError(
                "policy.unknown", f"{where}: {key!r} is not known", hint=f"one of {sorted(allowed)}"
            )


def _string(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise PolicyError("policy.type", f"{where}.{key} is not a string")
    return value


def _issuer(table: Mapping[str, Any], index: int) -> Issuer:
    where = f"issuers[{index}]"
    _known(table, {"did", "name"}, where)
    name = _string(table, "did", where)
    try:
        key = did.public_key(name)
    except TallystickError as error:
        raise PolicyError("policy.did", f"{where}: {error.detail}") from error
    return Issuer(name, key, _string(table, "name", where))


def _log(table: Mapping[str, Any], where: str) -> Log:
    _known(table, {"vkey", "name", "operator"}, where)
    try:
        vkey = VerifierKey.parse(_string(table, "vkey", where))
    except TallystickError as error:
        raise PolicyError("policy.vkey", f"{where}: {error.detail}") from error
    return Log(vkey, _string(table, "name", where), _string(table, "operator", where))


def _gateway(table: Mapping[str, Any], index: int) -> Log:
    log = _log(table, f"gateways[{index}]")
    if log.vkey.name != gateway_name(log.vkey.key):
        raise PolicyError(
            "policy.vkey", f"gateways[{index}]: {log.vkey.name!r} is not a gateway's name"
        )
    return log


def _ledger(table: Mapping[str, Any], index: int) -> Log:
    log = _log(table, f"ledgers[{index}]")
    if _LEDGER_NAME.fullmatch(log.vkey.name) is None:
        raise PolicyError(
            "policy.vkey", f"ledgers[{index}]: {log.vkey.name!r} is not a ledger's name"
        )
    return log


def _required(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not set(map(str, value)) <= set(REQUIRABLE):
        raise PolicyError(
            "policy.require", "[require] checks names unknown checks", hint=f"any of {REQUIRABLE}"
        )
    return tuple(str(one) for one in value)
