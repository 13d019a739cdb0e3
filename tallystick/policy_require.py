"""What a policy requires: its table [require]."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tallystick.errors import FormatError, TallystickError
from tallystick.fields import is_int
from tallystick.policy import OPTIONAL, REQUIRABLE
from tallystick.policy_lines import Notes

__all__ = ["Requirements"]

T = TypeVar("T")

_KNOWN: Final = {"checks", "witnesses", "boards", "agents", "anchor_age"}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Requirements:
    """Reads the table; what cannot be read stands in `notes`."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        given = notes.table.get("require", {})
        self._table: Mapping[str, Any] = given if notes.known(given, _KNOWN, ("require",)) else {}

    def checks(self) -> tuple[str, ...]:
        """Those that must have run, and passed."""
        return self._required(self._table.get("checks", list(REQUIRABLE)))

    def quorum(self) -> int:
        """How many of the witnesses must have cosigned."""
        return self._quorum(self._table.get("witnesses", 0), self._named("witnesses"))

    def boards(self) -> tuple[str, ...]:
        """Board kinds; none: any."""
        return self._strings(self._table, "boards", self._board)

    def agents(self) -> tuple[bytes, ...]:
        """Digests of agents; none: any."""
        return self._strings(self._table, "agents", self._agent)

    def anchor_age_s(self) -> int | None:
        """How old an anchor may be, in seconds."""
        return self._age(self._table.get("anchor_age"))

    def _required(self, value: object) -> tuple[str, ...]:
        where = ("require", "checks")
        known = (*REQUIRABLE, *OPTIONAL)
        if not isinstance(value, list):
            self._notes.note(where, "policy.require", "[require] checks is not a list")
            return REQUIRABLE
        for one in value:
            if one not in known:
                self._notes.note(
                    where,
                    "policy.require",
                    f"no check {one!r} can be required",
                    f"any of {' '.join(known)}",
                )
        return tuple(str(one) for one in value)

    def _quorum(self, value: object, witnesses: int) -> int:
        if not is_int(value) or value < 0:
            self._notes.note(
                ("require", "witnesses"),
                "policy.quorum",
                f"witnesses = {value!r} is not a number of witnesses",
            )
            return 0
        if value > witnesses:
            self._notes.note(
                ("require", "witnesses"),
                "policy.quorum",
                f"{value} witnesses are required, {witnesses} are named",
                "tally policy trust witness LINE adds one",
            )
        return value

    def _named(self, name: str) -> int:
        """How many tables of this name there are, good or not."""
        given = self._notes.table.get(name, [])
        return len(given) if isinstance(given, list) else 0

    def _strings(
        self, table: Mapping[str, Any], name: str, make: Callable[[str], T]
    ) -> tuple[T, ...]:
        where = ("require", name)
        value = table.get(name, [])
        if not isinstance(value, list) or (name in table and not value):
            self._notes.note(
                where, "policy.type", f"[require] {name} is not a list with something in it"
            )
            return ()
        made: list[T] = []
        for one in value:
            try:
                if not isinstance(one, str):
                    raise FormatError("policy.type", f"{one!r} is not a string")
                made.append(make(one))
            except TallystickError as error:
                self._notes.note(where, "policy.type", f"[require] {name}: {error.detail}")
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
            self._notes.note(
                ("require", "anchor_age"),
                "policy.duration",
                f"anchor_age = {value!r} is no duration",
                'for example "36h" or "400d"',
            )
            return None
        return int(match[1]) * _UNITS[match[2]]
