"""A policy's text read into `tallystick.policy.Policy`, with every mistake at its line.

A misspelt table must never silently trust less, or require less, than its author meant: what is not known is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tallystick import did, limits
from tallystick.account import State, parse_account
from tallystick.checkpoint import gateway_name
from tallystick.errors import LimitError, TallystickError
from tallystick.fields import is_int
from tallystick.note import VerifierKey
from tallystick.policy import BRIDGE_STATES, LEDGER_NAME, Bridge, Issuer, Log, Policy, Witness
from tallystick.policy_lines import Notes, Problem
from tallystick.policy_require import Requirements

__all__ = ["Problem", "all_problems", "read", "read_table"]

T = TypeVar("T")

VERSION: Final = 1
_ROOT: Final = {"version", "issuers", "gateways", "ledgers", "bridges", "witnesses", "require"}
_LOG: Final = {"vkey", "name", "operator"}
_BRIDGE: Final = {*_LOG, "account", "state", "depth"}


def read(text: bytes) -> Policy:
    """The policy; `PolicyError` or `LimitError` for the first mistake."""
    if len(text) > limits.POLICY_BYTES:
        raise LimitError(
            "policy.too-long", f"{len(text)} bytes, the limit is {limits.POLICY_BYTES}"
        )
    reader = _Reader(text)
    made = reader.policy()
    if reader.problems:
        raise reader.problems[0].error()
    return made


def read_table(table: Mapping[str, Any]) -> Policy:
    """The policy that a decoded table means."""
    reader = _Reader(b"", table)
    made = reader.policy()
    if reader.problems:
        raise reader.problems[0].error()
    return made


def all_problems(text: bytes) -> tuple[Problem, ...]:
    """Every mistake in the order of the lines."""
    if len(text) > limits.POLICY_BYTES:
        return (Problem(None, "policy.too-long", f"more than {limits.POLICY_BYTES} bytes"),)
    reader = _Reader(text)
    reader.policy()
    return tuple(sorted(reader.problems, key=lambda one: one.line or 0))


class _Reader(Notes):
    """Reads all that can be read and notes what cannot."""

    def policy(self) -> Policy:
        """What could be read; only to be used if there are no problems."""
        if self.problems:
            return Policy()
        table = self.table
        self.known(table, _ROOT, ())
        version = table.get("version")
        if version != VERSION or not is_int(version):
            detail = (
                f"version = {version!r}, expected {VERSION}"
                if version is not None
                else "no version"
            )
            self.note(("version",), "policy.version", detail, "the first line is: version = 1")
        required = Requirements(self)
        witnesses = self._entries("witnesses", self._witness)
        ledgers = self._entries("ledgers", self._ledger)
        return Policy(
            self._entries("issuers", self._issuer),
            self._entries("gateways", self._gateway),
            ledgers,
            witnesses,
            required.checks(),
            required.quorum(),
            required.boards(),
            required.agents(),
            required.anchor_age_s(),
            self._bridges({log.vkey.name for log in ledgers}),
        )

    # ---- who is trusted

    def _entries(
        self, name: str, make: Callable[[Mapping[str, Any], tuple[object, ...]], T | None]
    ) -> tuple[T, ...]:
        given = self.table.get(name, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self.note((name,), "policy.table", f"{name} is not a list of [[{name}]] tables")
            return ()
        made: list[T] = []
        names: set[str] = set()
        keys: set[bytes] = set()
        for index, table in enumerate(given):
            where = (name, index)
            one = make(table, where)
            if one is None:
                continue
            called = one.did if isinstance(one, Issuer) else str(getattr(one, "vkey").name)  # noqa: B009
            # stops a second key under one name, of which a verifier would take the first
            if called in names:
                self.note(where, "policy.duplicate", f"{called} is trusted twice")
            names.add(called)
            # stops one witness under two names from being two of a quorum
            key = one.key if isinstance(one, Issuer) else getattr(one, "vkey").key  # noqa: B009
            if name == "witnesses" and key.raw in keys:
                self.note(where, "policy.duplicate", f"the key of {called} is another witness's")
            keys.add(key.raw)
            made.append(one)
        return tuple(made)

    def _issuer(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Issuer | None:
        if not self.known(table, {"did", "name"}, where):
            return None
        name, called = self.string(table, "did", where), self.string(table, "name", where)
        if name is None or called is None:
            return None
        try:
            key = did.public_key(name)
        except TallystickError as error:
            self.note(
                (*where, "did"), "policy.did", error.detail, "an issuer is named by its did:key"
            )
            return None
        return Issuer(name, key, called)

    def _log(
        self,
        table: Mapping[str, Any],
        where: tuple[object, ...],
        printer: str,
        known: set[str] = _LOG,
    ) -> Log | None:
        if not self.known(table, known, where):
            return None
        said = self._said(table, where)
        if said is None:
            return None
        line, name, operator = said
        try:
            vkey = VerifierKey.parse(line)
        except TallystickError as error:
            self.note((*where, "vkey"), "policy.vkey", error.detail, printer)
            return None
        return Log(vkey, name, operator)

    def _said(
        self, table: Mapping[str, Any], where: tuple[object, ...]
    ) -> tuple[str, str, str] | None:
        """vkey, name and operator; None if the first is no text."""
        line, name, operator = (
            self.string(table, key, where) for key in ("vkey", "name", "operator")
        )
        return None if line is None else (line, name or "", operator or "")

    def _gateway(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Log | None:
        printer = "tally-gateway identity prints the line"
        log = self._log(table, where, printer)
        if log is not None and log.vkey.name != gateway_name(log.vkey.key):
            self.note(
                (*where, "vkey"),
                "policy.vkey",
                f"{log.vkey.name!r} is not a gateway's name",
                printer,
            )
            return None
        return log

    def _ledger(
        self, table: Mapping[str, Any], where: tuple[object, ...], known: set[str] = _LOG
    ) -> Log | None:
        printer = "tally-ledger identity prints the line"
        log = self._log(table, where, printer, known)
        if log is not None and LEDGER_NAME.fullmatch(log.vkey.name) is None:
            self.note(
                (*where, "vkey"),
                "policy.vkey",
                f"{log.vkey.name!r} is not a ledger's name",
                printer,
            )
            return None
        return log

    def _bridges(self, ledgers: set[str]) -> tuple[Bridge, ...]:
        bridges = self._entries("bridges", self._bridge)
        for index, one in enumerate(bridges):
            # stops the entry that asks for less from being the one that counts
            if one.vkey.name in ledgers:
                self.note(
                    ("bridges", index),
                    "policy.bridge",
                    f"{one.vkey.name} stands under ledgers and under bridges",
                    "a ledger counts by itself, or with its bridge's transactions: keep one",
                )
        return bridges

    def _bridge(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Bridge | None:
        log, line = self._ledger(table, where, _BRIDGE), self.string(table, "account", where)
        if line is None:
            return None
        try:
            account = parse_account(line)
        except TallystickError as error:
            hint = "tally-ledger bridge identity prints it"
            self.note((*where, "account"), "policy.bridge", error.detail, hint)
            return None
        state, depth = table.get("state", str(State.SAFE)), table.get("depth", 0)
        if state not in [str(one) for one in BRIDGE_STATES]:
            hint = "executed, safe or final"
            self.note((*where, "state"), "policy.bridge", f"state = {state!r}", hint)
            return None
        if not is_int(depth) or not 0 <= depth <= limits.DEPTH:
            detail = f"depth = {depth!r} is no number of blocks"
            self.note((*where, "depth"), "policy.bridge", detail)
            return None
        if log is None:
            return None
        return Bridge(log.vkey, log.name, log.operator, account, State(state), depth)

    def _witness(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Witness | None:
        if not self.known(table, _LOG, where):
            return None
        from tallystick.cosignature import WitnessKey

        said = self._said(table, where)
        if said is None:
            return None
        line, name, operator = said
        try:
            vkey = WitnessKey.parse(line)
        except TallystickError as error:
            self.note((*where, "vkey"), "policy.vkey", error.detail, error.hint)
            return None
        return Witness(vkey, name, operator)
