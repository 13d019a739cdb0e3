"""The enrolment file: the boards that a gateway admits, and the grant that it shows them.

``{"version": 1, "grant": "<base64>" or null, "devices": [{"id", "did", "name", "credential", "login"}, ...]}``: the
gateway reads it again whenever it changes, so it is replaced as one. Fields that this program does not know are kept.
`login` is what a broker checks the board's password with (`tallystick_host.broker_login`), null if it has none from us.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick import credential, did, message, record
from tallystick.credential import Credential
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.message import Grant
from tallystick_host import files, limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown, shown_path

__all__ = ["Device", "Enrolment", "check_name"]

VERSION: Final = 1
_ID: Final = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Device:
    """One board as it stands in the file."""

    did: str
    name: str | None
    credential: bytes
    login: str | None = None

    @property
    def key(self) -> PublicKey:
        """Its first key."""
        return did.public_key(self.did)

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return record.device_id(self.key).hex()

    def parsed(self) -> Credential:
        """The credential, taken apart."""
        return credential.parse(self.credential)


class Enrolment:
    """The file's content. Change it with `set_grant` and `put`, then `save`."""

    def __init__(self, path: Path, table: dict[str, Any]) -> None:
        self.path = path
        self._table = table

    @classmethod
    def load(cls, path: Path, *, or_new: bool = False) -> Enrolment:
        """The file at `path`, or with `or_new` an empty one if there is none; `UseError` if it is in no form to use."""
        name = shown_path(path)
        if not path.exists():
            if or_new:
                return cls(path, {"version": VERSION, "grant": None, "devices": []})
            raise UseError(f"no enrolment file {name!r}", hint="tally enrol makes one")
        try:
            table = json.loads(files.read(path, limits.ENROLMENT_BYTES))
        except (ValueError, RecursionError) as error:
            raise UseError(f"{name!r} is not JSON") from error
        if (
            not isinstance(table, dict)
            or table.get("version") != VERSION
            or not isinstance(table.get("devices"), list)
        ):
            raise UseError(f"{name!r} is not an enrolment file of version {VERSION}")
        enrolment = cls(path, table)
        try:
            enrolment.grant()
            for entry in table["devices"]:
                _device(entry)
        except (TallystickError, KeyError, TypeError, ValueError) as error:
            detail = error.detail if isinstance(error, TallystickError) else shown(str(error))
            raise UseError(
                f"{name!r}: {detail}", hint="take its last good copy; nothing was changed"
            ) from error
        return enrolment

    def save(self) -> None:
        """Replace the file."""
        files.replace(
            self.path, json.dumps(self._table, ensure_ascii=False, indent=1).encode() + b"\n"
        )

    def grant(self) -> Grant | None:
        """The grant that the gateway shows to the boards; its signature is not checked."""
        encoded = self._table.get("grant")
        return None if encoded is None else message.parse_grant(_unbase64(encoded, "grant"))

    def set_grant(self, grant: Grant) -> None:
        """Show this grant from now on."""
        self._table["grant"] = base64.b64encode(grant.signed.raw).decode()

    @property
    def devices(self) -> list[Device]:
        """All boards."""
        return [_device(entry) for entry in self._table["devices"]]

    def with_id(self, id: str) -> Device | None:
        """The board of this id (16 hexadecimal digits)."""
        return next((device for device in self.devices if device.id == id), None)

    def named(self, name: str) -> Device | None:
        """The board of this name."""
        return next((device for device in self.devices if device.name == name), None)

    def put(self, device: Device) -> None:
        """Add a board, or change name, credential and login of one that is there."""
        fields = {
            "id": device.id,
            "did": device.did,
            "name": device.name,
            "credential": base64.b64encode(device.credential).decode(),
            "login": device.login,
        }
        for entry in self._table["devices"]:
            if entry["id"] == device.id:
                entry.update(fields)
                return
        self._table["devices"].append(fields)


def check_name(name: str) -> str:
    """A name that can stand for a board on the command line; `UseError` otherwise."""
    if not name.strip() or not name.isprintable() or len(name) > limits.DEVICE_NAME_CHARS:
        raise UseError(f"{name!r} is no name: 1 to {limits.DEVICE_NAME_CHARS} printable characters")
    if _ID.fullmatch(name) or name.startswith("did:"):
        raise UseError(f"{name!r} is no name: it reads like an id")
    return name


def _device(entry: Mapping[str, Any]) -> Device:
    if not isinstance(entry, dict):
        raise UndoneError("a device is not an object")
    name = entry.get("name")
    if not isinstance(entry["did"], str) or not (name is None or isinstance(name, str)):
        raise ValueError("a device without a DID, or with a name that is no text")
    login = entry.get("login")
    if not (login is None or isinstance(login, str)):
        raise ValueError("a device with a login that is no text")
    device = Device(entry["did"], name, _unbase64(entry["credential"], "credential"), login)
    if device.id != entry["id"]:
        raise ValueError(f"device {entry['id']!r} has a DID with the id {device.id}")
    return device


def _unbase64(encoded: object, what: str) -> bytes:
    if not isinstance(encoded, str):
        raise ValueError(f"{what} is not base64")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{what} is not base64") from error
