"""What a person calls a device on the command line: a did:key, an id of 16 hexadecimal digits, or a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tallystick import did, record
from tallystick.errors import TallystickError
from tallystick_host.enrolment import Device, Enrolment
from tallystick_host.errors import UseError
from tallystick_host.words import shown_path

__all__ = ["Named", "did_of", "named"]


@dataclass(frozen=True)
class Named:
    """A device's id; its DID where that is known from the name alone; the issuer whose credential the enrolment file
    holds for it, and the kind of board that it names.
    """

    id: str
    did: str | None
    issuer: str | None = None
    kind: str | None = None


def named(text: str, enrolment_path: Path | None) -> Named:
    """The device that `text` means; `UseError` if it means none."""
    if text.startswith("did:"):
        id = record.device_id(did.public_key(did_of(text))).hex()
        enrolled = _enrolled(id, enrolment_path)
        # an id is a hint: another key may have the same one
        return enrolled if enrolled is not None and enrolled.did == text else Named(id, text)
    if re.fullmatch("[0-9a-f]{16}", text):
        return _enrolled(text, enrolment_path) or Named(text, None)
    if enrolment_path is None:
        raise UseError(
            f"{text!r} is neither an id nor a did:key", hint="--enrolment FILE finds boards by name"
        )
    found = Enrolment.load(enrolment_path).named(text)
    if found is None:
        raise UseError(f"no board {text!r} in {shown_path(enrolment_path)!r}")
    return _held(found)


def did_of(text: str) -> str:
    """`text`, if it is a did:key that can be trusted; `UseError` otherwise."""
    try:
        did.public_key(text)
    except TallystickError as error:
        raise UseError(error.detail, code=error.code) from error
    return text


def _enrolled(id: str, enrolment_path: Path | None) -> Named | None:
    found = None if enrolment_path is None else Enrolment.load(enrolment_path).with_id(id)
    return None if found is None else _held(found)


def _held(device: Device) -> Named:
    credential = device.parsed()
    return Named(device.id, device.did, credential.issuer, credential.board)
