"""The issuer's status lists, and the book which place in them belongs to whose credential.

`status.json` in the home folder is the book: ``{"version": 1, "lists": {"1": {"base", "issuer"}}, "places": [{"list",
"index", "did", "issued", "suspension", "revocation"}, ...]}``. The lists are what is hosted, two for each number, each
a verifiable credential: `web/status/<n>/suspension` and `web/status/<n>/revocation`.

Rules
* A place is in the book, on the disk, before a credential names it; no place is given twice.
* Places are drawn by lot: a list does not say who was enrolled when.
* A list keeps its name for life. After `tally issuer did-web` new credentials get a new list under the new name.
* The book says what is set; the lists are made from it. A list that was lost, changed or put back from a backup comes
  right with the next change, and never clears anyone.
* Each file is replaced as one, the book first. Revocation is never taken back.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick import data_integrity, did_document, jcs, status_list
from tallystick import limits as library_limits
from tallystick.credential import StatusReference
from tallystick.errors import TallystickError
from tallystick.status_list import ENTRIES, Purpose, StatusList, StatusListCredential
from tallystick_host import files, limits
from tallystick_host.errors import HostError, UndoneError
from tallystick_host.home import Home
from tallystick_host.issuer import Issuer
from tallystick_host.words import shown_path

__all__ = ["Place", "StatusBook", "read_list"]

VERSION: Final = 1
_FULL_AT: Final = ENTRIES // 2  # drawing by lot stays quick


@dataclass(frozen=True)
class Place:
    """Where the lists speak of a credential of `did`; `base`: what the lists' names start with."""

    reference: StatusReference
    did: str
    base: str


class StatusBook:
    """The book and the lists in a home folder; every change holds the book's lock."""

    def __init__(self, home: Home, issuer: Issuer) -> None:
        self._home = home
        self._issuer = issuer
        self._path = home.status_path

    def reserve(self, device: str) -> Place:
        """A place for a new credential of `device`, kept before it is given."""
        files.make_private(self._home.folder)
        with files.locked(self._path):
            table = self._load()
            number = self._open_list(table)
            used = {one["index"] for one in table["places"] if one["list"] == number}
            index = secrets.randbelow(ENTRIES)
            while index in used:
                index = secrets.randbelow(ENTRIES)
            entry = {"list": number, "index": index, "did": device, "issued": int(time.time())}
            table["places"].append({**entry, **dict.fromkeys(map(str, Purpose), False)})
            self._save(table)
        return Place(StatusReference(number, index), device, table["lists"][str(number)]["base"])

    def places(self, device: str) -> list[Place]:
        """All places of the credentials of `device`."""
        return [one for one in self.all() if one.did == device]

    def all(self) -> list[Place]:
        """All places that were ever given."""
        table = self._load()
        return [
            Place(
                StatusReference(one["list"], one["index"]),
                one["did"],
                table["lists"][str(one["list"])]["base"],
            )
            for one in table["places"]
        ]

    def mark(self, places: list[Place], purpose: Purpose, value: bool) -> list[Path]:
        """Set the bits of `places` for `purpose`, or take them back; the lists that changed."""
        if purpose is Purpose.REVOCATION and not value:
            raise UndoneError("a revocation is never taken back", code="status.revoked")
        wanted = {(one.reference.list, one.reference.index) for one in places}
        with files.locked(self._path):
            table = self._load()
            for entry in table["places"]:
                if (entry["list"], entry["index"]) in wanted:
                    entry[purpose] = value
            self._save(table)
            numbers = sorted({number for number, _ in wanted})
            return [
                self.path(one, purpose) for one in numbers if self._bring_up(table, one, purpose)
            ]

    def path(self, number: int, purpose: Purpose) -> Path:
        """Where a list lies, as below its base on the web."""
        return self._home.web_folder / "status" / str(number) / purpose

    def _open_list(self, table: dict[str, Any]) -> int:
        """The newest list under our present name that has room, made if there is none."""
        numbers = [int(name) for name in table["lists"]]
        for number in sorted(numbers, reverse=True):
            taken = sum(one["list"] == number for one in table["places"])
            if table["lists"][str(number)]["base"] == self._issuer.base and taken < _FULL_AT:
                return number
        number = max(numbers, default=0) + 1
        if number > library_limits.STATUS_LISTS:
            raise UndoneError("all status lists of this issuer are full", code="status.full")
        table["lists"][str(number)] = {"base": self._issuer.base, "issuer": self._issuer.did}
        for purpose in Purpose:
            self._bring_up(table, number, purpose)
        return number

    def _bring_up(self, table: dict[str, Any], number: int, purpose: Purpose) -> bool:
        """Make the list what the book says, unless it is that already; was it changed?"""
        bits = StatusList()
        for entry in table["places"]:
            if entry["list"] == number and entry[purpose]:
                bits.set(entry["index"])
        path = self.path(number, purpose)
        about = table["lists"][str(number)]
        id = status_list.list_id(about["base"], number, purpose)
        moment = int(time.time())
        held = self._held(path, id)
        if held is not None:
            if held.list.encode() == bits.encode():
                return False
            # a list never goes back in time, whatever our clock does
            moment = max(moment, held.valid_from)
        signed = data_integrity.sign(
            self._issuer.key,
            status_list.document(bits, id, about["issuer"], moment),
            method=did_document.method_id(about["issuer"], self._issuer.key.public),
            created=moment,
        )
        files.make_private(path.parent)
        files.replace(path, jcs.canonical(signed) + b"\n")
        return True

    def _held(self, path: Path, id: str) -> StatusListCredential | None:
        """Our own list as it lies there; None if there is none, or it is not as we signed it."""
        if not path.exists():
            return None
        try:
            found, given = read_list(path)
            data_integrity.verify(given, self._issuer.key.public)
        except (HostError, TallystickError):
            return None
        return found if found.id == id else None

    def _load(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"version": VERSION, "lists": {}, "places": []}
        try:
            table = json.loads(files.read(self._path, limits.STATUS_BOOK_BYTES))
            if table["version"] == VERSION and all(map(_is_place, table["places"])):
                names = {str(one["list"]) for one in table["places"]}
                if names <= set(table["lists"]) and all(map(_is_list, table["lists"].items())):
                    return dict(table)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise UndoneError(
            f"{shown_path(self._path)!r} is no book of status lists",
            hint="take its last good copy: without it nobody can be suspended or revoked",
        )

    def _save(self, table: Mapping[str, Any]) -> None:
        files.replace(self._path, json.dumps(table).encode() + b"\n", mode=0o600)


def read_list(path: Path) -> tuple[StatusListCredential, jcs.Object]:
    """A status list in a file, and its document; its signature is not checked. `UndoneError` if it is none."""
    try:
        given = jcs.parse(files.read(path, library_limits.VC_BYTES))
        return status_list.parse(given), given
    except TallystickError as error:
        raise UndoneError(f"{shown_path(path)!r}: {error.detail}", code=error.code) from error


def _is_place(entry: Any) -> bool:
    return (
        isinstance(entry["did"], str)
        and type(entry["list"]) is int
        and type(entry["index"]) is int
        and 0 <= entry["index"] < ENTRIES
        and all(isinstance(entry[purpose], bool) for purpose in Purpose)
    )


def _is_list(entry: tuple[Any, Any]) -> bool:
    name, about = entry
    texts = isinstance(about["base"], str) and isinstance(about["issuer"], str)
    return texts and name.isascii() and name.isdigit()
