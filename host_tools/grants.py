"""Grants: the owner's word which gateway may acknowledge and command; of all that a board has seen the highest
serial wins.

`grants.json` in the home folder keeps every grant that the owner gave, so that a serial is never given twice and the
same gateway gets the same bytes. A grant is on disk before anybody is shown it.
"""

from __future__ import annotations

import base64
import json

from tallystick import message
from tallystick.checkpoint import gateway_name
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.message import Grant
from tallystick.note import VerifierKey
from tallystick_host import files, limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.words import shown_path

__all__ = ["for_gateway", "gateway_key", "replacing"]


def gateway_key(line: str) -> VerifierKey:
    """The gateway that `line` names (name+hex+base64); `UseError` if it names none."""
    try:
        key = VerifierKey.parse(line)
    except TallystickError as error:
        raise UseError(
            error.detail, code=error.code, hint="tally-gateway identity prints the line"
        ) from error
    if key.name != gateway_name(key.key):
        raise UseError(f"{key.name!r} is not the name of a gateway", code="note.vkey")
    return key


def for_gateway(home: Home, gateway: VerifierKey, owner: PrivateKey) -> Grant:
    """The newest grant that `owner` gave this gateway, or its first one."""
    with files.locked(home.grants_path):
        given = _given(home)
        for grant in reversed(given):
            if grant.key == gateway.key and grant.signed.kid == owner.public.kid:
                return grant
        return _give(home, given, gateway, owner)


def replacing(home: Home, gateway: VerifierKey, owner: PrivateKey, above: int) -> Grant:
    """A grant that wins over all others and over serial `above`: the newest one if it is this gateway's, else a new
    one.
    """
    with files.locked(home.grants_path):
        given = _given(home)
        newest = max(given, key=lambda one: one.serial, default=None)
        if newest is not None and newest.key == gateway.key and newest.serial > above:
            return newest
        return _give(home, given, gateway, owner, above)


def _given(home: Home) -> list[Grant]:
    """Every grant that was given, oldest first."""
    if not home.grants_path.exists():
        return []
    try:
        table = json.loads(files.read(home.grants_path, limits.GRANTS_BYTES))
        return [message.parse_grant(base64.b64decode(one)) for one in table["grants"]]
    except (TallystickError, ValueError, KeyError, TypeError) as error:
        # without the serials that were given, a new one could be below them
        name = shown_path(home.grants_path)
        raise UndoneError(f"{name!r} is not a list of grants", hint="restore it") from error


def _give(
    home: Home, given: list[Grant], gateway: VerifierKey, owner: PrivateKey, above: int = 0
) -> Grant:
    serial = max([above, *(one.serial for one in given)]) + 1
    grant = message.parse_grant(message.sign_grant(owner, gateway.key, serial))
    encoded = [base64.b64encode(one.signed.raw).decode() for one in [*given, grant]]
    text = json.dumps({"version": 1, "grants": encoded}, indent=1) + "\n"
    files.replace(home.grants_path, text.encode())
    return grant
