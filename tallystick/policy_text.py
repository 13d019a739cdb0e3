"""A policy's text read into `tallystick.policy.Policy`, with every mistake at its line.

A misspelt table must never silently trust less, or require less, than its author meant: what is not known is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tallystick import did, limits
from tallystick.account import State, parse_account
from tallystick.checkpoint import gateway_name
from tallystick.errors import FormatError, LimitError, PolicyError, TallystickError
from tallystick.fields import is_int
from tallystick.note import VerifierKey
from tallystick.policy import (
    BRIDGE_STATES,
    LEDGER_NAME,
    OPTIONAL,
    REQUIRABLE,
    Bridge,
    Issuer,
    Log,
    Policy,
    Witness,
)
from tallystick.value import Value

__all__ = ["Problem", "all_problems", "read", "read_table"]

T = TypeVar("T")

VERSION: Final = 1
_ROOT: Final = {"version", "issuers", "gateways", "ledgers", "bridges", "witnesses", "require"}
_REQUIRE: Final = {"checks", "witnesses", "boards", "agents", "anchor_age"}
_LOG: Final = {"vkey", "name", "operator"}
_BRIDGE: Final = {*_LOG, "account", "state", "depth"}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AT: Final = re.compile(r"\(at line (\d+), column \d+\)")
_HEADER: Final = re.compile(r"\s*\[\[\s*(\w+)\s*\]\]|\s*\[\s*(\w+)\s*\]")
_KEY: Final = re.compile(r"\s*([\w-]+)\s*=")


class Problem(Value):
    """One mistake: its line (counted from 1, None if it is the whole file), code, words, and what to do."""

    line: int | None
    code: str
    detail: str
    hint: str = ""

    def error(self) -> PolicyError:
        """The same as an error."""
        where = "" if self.line is None else f"line {self.line}: "
        return PolicyError(self.code, where + self.detail, hint=self.hint)


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


class _Reader:
    """Reads all that can be read and notes what cannot."""

    def __init__(self, text: bytes, table: Mapping[str, Any] | None = None) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[tuple[object, ...], int] = {}
        self.table: Mapping[str, Any] = {}
        if table is not None:
            self.table = table
            return
        try:
            decoded = text.decode()
            self.table = tomllib.loads(decoded)
        # tomllib lets through what int() and the stack say of 5,000 digits and of 5,000 brackets
        except (ValueError, RecursionError) as error:
            found = _AT.search(str(error))
            words = _AT.sub("", str(error)).strip()
            self._note(
                (), "policy.toml", f"not TOML: {words}", line=int(found[1]) if found else None
            )
            return
        self.lines = _lines(decoded)

    def policy(self) -> Policy:
        """What could be read; only to be used if there are no problems."""
        if self.problems:
            return Policy()
        table = self.table
        self._known(table, _ROOT, ())
        version = table.get("version")
        if version != VERSION or not is_int(version):
            detail = (
                f"version = {version!r}, expected {VERSION}"
                if version is not None
                else "no version"
            )
            self._note(("version",), "policy.version", detail, "the first line is: version = 1")
        require = table.get("require", {})
        if not self._known(require, _REQUIRE, ("require",)):
            require = {}
        witnesses = self._entries("witnesses", self._witness)
        ledgers = self._entries("ledgers", self._ledger)
        return Policy(
            self._entries("issuers", self._issuer),
            self._entries("gateways", self._gateway),
            ledgers,
            witnesses,
            self._required(require.get("checks", list(REQUIRABLE))),
            self._quorum(require.get("witnesses", 0), self._named("witnesses")),
            self._strings(require, "boards", self._board),
            self._strings(require, "agents", self._agent),
            self._age(require.get("anchor_age")),
            self._bridges({log.vkey.name for log in ledgers}),
        )

    # ---- who is trusted

    def _entries(
        self, name: str, make: Callable[[Mapping[str, Any], tuple[object, ...]], T | None]
    ) -> tuple[T, ...]:
        given = self.table.get(name, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self._note((name,), "policy.table", f"{name} is not a list of [[{name}]] tables")
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
                self._note(where, "policy.duplicate", f"{called} is trusted twice")
            names.add(called)
            # stops one witness under two names from being two of a quorum
            key = one.key if isinstance(one, Issuer) else getattr(one, "vkey").key  # noqa: B009
            if name == "witnesses" and key.raw in keys:
                self._note(where, "policy.duplicate", f"the key of {called} is another witness's")
            keys.add(key.raw)
            made.append(one)
        return tuple(made)

    def _issuer(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Issuer | None:
        if not self._known(table, {"did", "name"}, where):
            return None
        name = self._string(table, "did", where)
        try:
            key = did.public_key(name)
        except TallystickError as error:
            self._note(
                (*where, "did"), "policy.did", error.detail, "an issuer is named by its did:key"
            )
            return None
        return Issuer(name, key, self._string(table, "name", where))

    def _log(
        self,
        table: Mapping[str, Any],
        where: tuple[object, ...],
        printer: str,
        known: set[str] = _LOG,
    ) -> Log | None:
        if not self._known(table, known, where):
            return None
        try:
            vkey = VerifierKey.parse(self._string(table, "vkey", where))
        except TallystickError as error:
            self._note((*where, "vkey"), "policy.vkey", error.detail, printer)
            return None
        return Log(vkey, self._string(table, "name", where), self._string(table, "operator", where))

    def _gateway(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Log | None:
        printer = "tally-gateway identity prints the line"
        log = self._log(table, where, printer)
        if log is not None and log.vkey.name != gateway_name(log.vkey.key):
            self._note(
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
            self._note(
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
                self._note(
                    ("bridges", index),
                    "policy.bridge",
                    f"{one.vkey.name} stands under ledgers and under bridges",
                    "a ledger counts by itself, or with its bridge's transactions: keep one",
                )
        return bridges

    def _bridge(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Bridge | None:
        log = self._ledger(table, where, _BRIDGE)
        try:
            account = parse_account(self._string(table, "account", where))
        except TallystickError as error:
            hint = "tally-ledger bridge identity prints it"
            self._note((*where, "account"), "policy.bridge", error.detail, hint)
            return None
        state, depth = table.get("state", str(State.SAFE)), table.get("depth", 0)
        if state not in [str(one) for one in BRIDGE_STATES]:
            hint = "executed, safe or final"
            self._note((*where, "state"), "policy.bridge", f"state = {state!r}", hint)
            return None
        if not is_int(depth) or not 0 <= depth <= limits.DEPTH:
            detail = f"depth = {depth!r} is no number of blocks"
            self._note((*where, "depth"), "policy.bridge", detail)
            return None
        if log is None:
            return None
        return Bridge(log.vkey, log.name, log.operator, account, State(state), depth)

    def _witness(self, table: Mapping[str, Any], where: tuple[object, ...]) -> Witness | None:
        if not self._known(table, _LOG, where):
            return None
        from tallystick.cosignature import WitnessKey

        try:
            vkey = WitnessKey.parse(self._string(table, "vkey", where))
        except TallystickError as error:
            self._note((*where, "vkey"), "policy.vkey", error.detail, error.hint)
            return None
        return Witness(
            vkey, self._string(table, "name", where), self._string(table, "operator", where)
        )

    # ---- what is required

    def _required(self, value: object) -> tuple[str, ...]:
        where = ("require", "checks")
        known = (*REQUIRABLE, *OPTIONAL)
        if not isinstance(value, list):
            self._note(where, "policy.require", "[require] checks is not a list")
            return REQUIRABLE
        for one in value:
            if one not in known:
                self._note(
                    where,
                    "policy.require",
                    f"no check {one!r} can be required",
                    f"any of {' '.join(known)}",
                )
        return tuple(str(one) for one in value)

    def _quorum(self, value: object, witnesses: int) -> int:
        if not is_int(value) or value < 0:
            self._note(
                ("require", "witnesses"),
                "policy.quorum",
                f"witnesses = {value!r} is not a number of witnesses",
            )
            return 0
        if value > witnesses:
            self._note(
                ("require", "witnesses"),
                "policy.quorum",
                f"{value} witnesses are required, {witnesses} are named",
                "tally policy trust witness LINE adds one",
            )
        return value

    def _named(self, name: str) -> int:
        """How many tables of this name there are, good or not."""
        given = self.table.get(name, [])
        return len(given) if isinstance(given, list) else 0

    def _strings(
        self, table: Mapping[str, Any], name: str, make: Callable[[str], T]
    ) -> tuple[T, ...]:
        where = ("require", name)
        value = table.get(name, [])
        if not isinstance(value, list) or (name in table and not value):
            self._note(where, "policy.type", f"[require] {name} is not a list with something in it")
            return ()
        made: list[T] = []
        for one in value:
            try:
                if not isinstance(one, str):
                    raise FormatError("policy.type", f"{one!r} is not a string")
                made.append(make(one))
            except TallystickError as error:
                self._note(where, "policy.type", f"[require] {name}: {error.detail}")
        return tuple(made)

    def _board(self, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", value):
            raise FormatError("policy.type", f"{value!r} is no board kind; tally boards lists them")
        return value

    def _agent(self, value: str) -> bytes:
        if not re.fullmatch("[0-9a-f]{32}", value):
            raise FormatError(
                "policy.type", f"{value!r} is no agent digest: 32 lower-case hex digits"
            )
        return bytes.fromhex(value)

    def _age(self, value: object) -> int | None:
        if value is None:
            return None
        match = re.fullmatch("([1-9][0-9]{0,8})([smhd])", value) if isinstance(value, str) else None
        if match is None:
            self._note(
                ("require", "anchor_age"),
                "policy.duration",
                f"anchor_age = {value!r} is no duration",
                'for example "36h" or "400d"',
            )
            return None
        return int(match[1]) * _UNITS[match[2]]

    # ---- how it is read

    def _known(self, table: object, allowed: set[str], where: tuple[object, ...]) -> bool:
        if not isinstance(table, dict):
            self._note(where, "policy.table", f"{where[0]} is not a table")
            return False
        unknown = [key for key in table if key not in allowed]
        for key in unknown:
            self._note(
                (*where, key),
                "policy.unknown",
                f"{key!r} is not known here",
                f"one of {sorted(allowed)}",
            )
        return not unknown

    def _string(self, table: Mapping[str, Any], key: str, where: tuple[object, ...]) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            self._note((*where, key), "policy.type", f"{key} is not a string")
            return ""
        return value

    def _note(
        self,
        where: tuple[object, ...],
        code: str,
        detail: str,
        hint: str = "",
        *,
        line: int | None = None,
    ) -> None:
        """A problem at the line of `where`, or of the nearest table around it that has one."""
        while line is None and where:
            line = self.lines.get(where)
            where = where[:-1]
        self.problems.append(Problem(line, code, detail, hint))


def _lines(text: str) -> dict[tuple[object, ...], int]:
    """The line of each table and key: ("issuers", 0), ("issuers", 0, "did"), ("require", "checks"), ("version",)."""
    found: dict[tuple[object, ...], int] = {}
    counts: dict[str, int] = {}
    where: tuple[object, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header and header[1]:
            index = counts.get(header[1], 0)
            counts[header[1]] = index + 1
            found.setdefault((header[1],), number)
            where = (header[1], index)
        elif header:
            where = (header[2],)
        elif key:
            found.setdefault((*where, key[1]), number)
            continue
        else:
            continue
        found.setdefault(where, number)
    return found
