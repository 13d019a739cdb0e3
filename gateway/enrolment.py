"""Which devices may speak, and the owner's grant: a JSON file that a host command writes and this
reads.

::

    {"version": 1, "grant": "<base64>" or null,
     "devices": [{"id": "<16 hex>", "did": "did:key:...", "name": "cold-room-3" or null,
                  "credential": "<base64>" or null, "login": "$7$..." or null}]}

The file is replaced as a whole; a file that cannot be read leaves the enrolment as it was. An entry
that is wrong (its id is not that of its DID, its key is refused, its id is taken) is left out and
named in `refused`, the others count. `login` is what a broker checks the board's password with, a hash
as mosquitto_passwd writes it: only `broker-config` looks at it.

To check ten thousand keys takes more than a second. So an entry that is as it was is not checked again, and
neither is a file that was found good before: the caller keeps `EnrolmentFile.good` and gives it back.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tallystick import credential, did, limits
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.message import Grant, parse_grant
from tallystick.record import device_id
from tallystick_gateway import bounds

__all__ = ["EnrolledDevice", "Enrolment", "EnrolmentError", "EnrolmentFile", "parse"]

VERSION: Final = 1
_RULES: Final = 1  # by which an entry is found good; another number when they become stricter
_ID: Final = re.compile(r"[0-9a-f]{16}")
_LOGIN: Final = re.compile(
    r"(?:[0-9a-f]{16}:)?(\$7\$[0-9]{1,7}\$[A-Za-z0-9+/=]{1,64}\$[A-Za-z0-9+/=]{1,128})"
)


class EnrolmentError(Exception):
    """The file as a whole cannot be used."""


@dataclass(frozen=True)
class EnrolledDevice:
    """A device that may speak. `credential` goes into proofs and is judged by the verifier."""

    id: bytes
    did: str
    name: str | None
    credential: bytes | None
    login: str | None = None

    @cached_property
    def key(self) -> PublicKey:
        """Its first key."""
        return did.public_key(self.did)


@dataclass(frozen=True)
class Enrolment:
    """What the file says. `refused` holds one sentence for each entry that does not count."""

    devices: Mapping[bytes, EnrolledDevice] = field(default_factory=dict)
    grant: Grant | None = None
    refused: tuple[str, ...] = ()


class EnrolmentFile:
    """The file at `path`, read again when it has been replaced. `good` names a file that was found good by
    these rules: of an earlier run at first, then what was read here, None if something was refused.
    """

    def __init__(self, path: Path, good: str | None = None) -> None:
        self.path = path
        self.current = Enrolment()
        self.good = good
        self._seen: tuple[int, int, int] | None = None

    def reload(self, *, force: bool = False) -> bool:
        """Read the file if it changed; True if the enrolment is another now. `EnrolmentError`
        leaves it as it was.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_mtime_ns, status.st_ino, status.st_size)
                if seen == self._seen and not force:
                    return False
                self._seen = seen
                data = file.read(bounds.ENROLMENT_BYTES + 1)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise EnrolmentError(f"cannot read {str(self.path)!r}: {error.strerror}") from error
        name = f"{_RULES} {sha256(data).hexdigest()}"
        fresh = parse(data, self.current.devices, good=name == self.good)
        changed = fresh != self.current
        self.current, self.good = fresh, None if fresh.refused else name
        return changed


def parse(
    data: bytes, known: Mapping[bytes, EnrolledDevice] | None = None, *, good: bool = False
) -> Enrolment:
    """The enrolment in `data`; `EnrolmentError` if it is not one at all. Entries of `known` were checked
    before, with `good` all of them.
    """
    if len(data) > bounds.ENROLMENT_BYTES:
        raise EnrolmentError(f"longer than {bounds.ENROLMENT_BYTES} bytes")
    try:
        value = json.loads(data, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise EnrolmentError(f"not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise EnrolmentError(f"not an enrolment of version {VERSION}")
    entries = value.get("devices")
    if not isinstance(entries, list):
        raise EnrolmentError("no list of devices")
    known = known or {}
    devices: dict[bytes, EnrolledDevice] = {}
    refused: list[str] = []
    for index, entry in enumerate(entries):
        try:
            device = _device(entry)
            if known.get(device.id) == device:
                device = known[device.id]
            elif not good:
                _check_key(device)
        except (EnrolmentError, TallystickError) as error:
            refused.append(f"device {index}: {error}")
            continue
        if device.id in devices:
            refused.append(f"device {index}: id {device.id.hex()} is enrolled already")
            continue
        try:
            if not good and device is not known.get(device.id):
                _check_credential(device)
        except (EnrolmentError, TallystickError) as error:
            # the device may speak all the same: its records must not be lost for a paper
            refused.append(f"device {index}: credential: {error}")
            device = replace(device, credential=None)
        devices[device.id] = device
    grant = None
    if value.get("grant") is not None:
        try:
            grant = parse_grant(_base64(value["grant"], "grant", limits.SIGNED_BYTES))
        except (EnrolmentError, TallystickError) as error:
            refused.append(f"grant: {error}")
    return Enrolment(devices, grant, tuple(refused))


def _device(entry: Any) -> EnrolledDevice:
    if not isinstance(entry, dict):
        raise EnrolmentError("not an object")
    name, key_name, text = entry.get("id"), entry.get("did"), entry.get("name")
    if not isinstance(name, str) or not isinstance(key_name, str):
        raise EnrolmentError("id and did are texts")
    if text is not None and (not isinstance(text, str) or len(text) > limits.DID_BYTES):
        raise EnrolmentError(f"name is a text of at most {limits.DID_BYTES} characters, or null")
    if not _ID.fullmatch(name):
        raise EnrolmentError(f"id {name[:32]!r} has not 16 hex digits")
    held = entry.get("credential")
    return EnrolledDevice(
        id=bytes.fromhex(name),
        did=key_name,
        name=text,
        credential=None if held is None else _base64(held, "credential", limits.CREDENTIAL_BYTES),
        login=_login(entry.get("login")),
    )


def _login(value: Any) -> str | None:
    """The hash; None for anything else, for it must not keep a board's records out."""
    found = _LOGIN.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def _check_key(device: EnrolledDevice) -> None:
    """Stops one device's records from being shown as another's: its id is part of every topic."""
    if device_id(device.key) != device.id:
        raise EnrolmentError(f"id {device.id.hex()!r} is not that of its did")


def _check_credential(device: EnrolledDevice) -> None:
    """Stops a file that cannot be a credential, or another device's, from spoiling proofs."""
    if device.credential is not None:
        subject = credential.parse(device.credential).subject
        if subject != device.did:
            raise EnrolmentError(f"is that of {subject[:80]!r}")


def _base64(value: Any, what: str, limit: int) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * limit:
        raise EnrolmentError(f"{what} is not a text of its length")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnrolmentError(f"{what} is not base64") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Stops a name given twice from being read one way here and another way elsewhere."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value
