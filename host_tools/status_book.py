"""The issuer's status lists, and the book which place in them belongs to whose credential.

`status.json` in the home folder is the book: ``{"version": 1, "lists": {"1": {"base"}}, "places": [{"list", "index",
"did", "issued"}, ...]}``. The lists are what is hosted: `web/status/<n>/suspension` and `.../revocation`, two for each
number, each a verifiable credential.

Rules
* A place is in the book, on the disk, before a credential names it; no place is given twice.
* Places are drawn by lot: a list does not say who was enrolled when.
* A list keeps its name for life. After `tally issuer did-web` new credentials get a new list under the new name.
* Each file is replaced as one. Revocation is never taken back.
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
from tallystick.keys import PrivateKey
from tallystick.status_list import ENTRIES, Purpose, StatusList, StatusListCredential
from tallystick_host import files, limits
from tallystick_host.errors import UndoneError
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
            table["places"].append(entry)
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
        """Set the bits of `places` in the lists of `purpose`, or take them back; the files that changed."""
        changed: list[Path] = []
        with files.locked(self._path):
            for number in sorted({one.reference.list for one in places}):
                held = self.read(number, purpose)
                indices = [one.reference.index for one in places if one.reference.list == number]
                if all(held.list.get(index) == value for index in indices):
                    continue
                for index in indices:
                    held.list.set(index, value)
                # a list never goes back in time, whatever our clock does
                moment = max(int(time.time()), held.valid_from)
                self._write(held.list, held.id, held.issuer, moment)
                changed.append(self.path(number, purpose))
        return changed

    def read(self, number: int, purpose: Purpose) -> StatusListCredential:
        """Our own list as it stands on the disk; refused if it is not as we signed it."""
        path = self.path(number, purpose)
        found, given = read_list(path)
        try:
            # stops a list that somebody changed on the disk from being signed by us
            data_integrity.verify(given, self._issuer.key.public)
        except TallystickError as error:
            raise UndoneError(f"{shown_path(path)!r}: {error.detail}", code=error.code) from error
        if (found.number, found.purpose) != (number, purpose):
            raise UndoneError(f"{shown_path(path)!r} is another list", code="status.list")
        return found

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
        table["lists"][str(number)] = {"base": self._issuer.base}
        for purpose in Purpose:
            id = status_list.list_id(self._issuer.base, number, purpose)
            self._write(StatusList(), id, self._issuer.did, int(time.time()))
        return number

    def _write(self, bits: StatusList, id: str, issuer: str, moment: int) -> None:
        key: PrivateKey = self._issuer.key
        signed = data_integrity.sign(
            key,
            status_list.document(bits, id, issuer, moment),
            method=did_document.method_id(issuer, key.public),
            created=moment,
        )
        read = status_list.parse(signed)
        path = self.path(read.number, read.purpose)
        files.make_private(path.parent)
        files.replace(path, jcs.canonical(signed) + b"\n")

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
    )


def _is_list(entry: tuple[Any, Any]) -> bool:
    name, about = entry
    return name.isascii() and name.isdigit() and isinstance(about["base"], str)
