"""Enrolment of one board: proof that it holds its key, credential, owner, grant, settings, first head, enrolment file.

Rules
* Nothing is written anywhere before the board has signed a challenge made for this moment.
* The board comes first, the enrolment file last: a board in the file is complete. A command that was cut short is
  repeated.
* What is right already is not touched: the second enrolment of a board changes nothing, and says so.
* `genesis` is said once in a board's life. A board in the file without a head has lost it; an acknowledgement gives
  it back.
* A board whose key was rotated stays the device that the file knows. That its first key agreed is not asked here: it
  stands in the chain, and whoever verifies a record asks.
* The password at the broker is made here, goes to the board, and is forgotten.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tallystick import did, message
from tallystick.errors import KeyRefusedError, TallystickError
from tallystick.keys import ED25519, PublicKey
from tallystick.message import Challenge, Grant
from tallystick_host import board_trouble, files
from tallystick_host.authority import Authority
from tallystick_host.broker_login import Login
from tallystick_host.console import BoardRefusedError, Console
from tallystick_host.enrolment import Device, Enrolment
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.issuing import end_of
from tallystick_host.words import shown

__all__ = ["Enrolled", "Settings", "challenge", "enrol", "proven", "start"]

_NONCE_BYTES: Final = 16


@dataclass(frozen=True)
class Settings:
    """What to set on the board; None leaves a setting as it is. `interval_ms`: milliseconds between readings;
    `make_login`: give it a login at its broker; `other_login`: it has got one from somebody else; `update_key`: whose
    updates it takes.
    """

    broker_host: str | None = None
    broker_port: int | None = None
    interval_ms: int | None = None
    batch: int | None = None
    make_login: bool = True
    other_login: bool = False
    update_key: PublicKey | None = None

    def wanted(self) -> dict[str, object]:
        """Those of the board's settings that are given, by the board's names."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name in ("make_login", "other_login", "update_key"):
            given.pop(name, None)
        return given


@dataclass
class Enrolled:
    """What became of a board. `done`: what was changed, in words; empty if all was right already."""

    device: Device
    next: int | None
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def challenge(console: Console, nonce: bytes, device: bytes | None = None) -> Challenge:
    """Have the board sign `nonce` (16 bytes), and check that it is this board's own, fresh signature. `device`: the id
    of a board whose key may be another one than its first by now.
    """
    answer = console.ask(f"challenge {nonce.hex()}")
    try:
        raw = bytes.fromhex(answer)
    except ValueError as error:
        raise UndoneError(
            "the answer to the challenge is not hexadecimal", code="challenge.form"
        ) from error
    try:
        signed = message.parse_challenge(raw)
    except KeyRefusedError as error:
        raise RefusedError(
            f"the board's key is refused: {error.detail}", code=error.code
        ) from error
    except TallystickError as error:
        raise UndoneError(
            f"the board's answer is no signed challenge: {error.detail}", code="challenge.form"
        ) from error
    try:
        signed.signed.verify(signed.key)
    except TallystickError as error:
        raise RefusedError(f"the board's answer: {error.detail}", code=error.code) from error
    if signed.device != (device or signed.key.kid):
        raise RefusedError("the board signs for another id than its key's", code="challenge.device")
    # stops an answer that was recorded earlier, or made for somebody else, from standing in for the board
    if signed.nonce != nonce:
        raise RefusedError("the board answers another challenge than ours", code="challenge.nonce")
    return signed


def proven(
    console: Console, enrolment: Enrolment, info: Mapping[str, Any]
) -> tuple[Challenge, Device | None]:
    """The board's signature for this moment, and the device that it is in the file; None for one that is new there.

    Raises `RefusedError` for one that is not in the file and has another key than its first: nobody here knows its DID.
    """
    id = info.get("id")
    known = enrolment.with_id(id) if isinstance(id, str) else None
    nonce = secrets.token_bytes(_NONCE_BYTES)
    try:
        return challenge(console, nonce, None if known is None else bytes.fromhex(known.id)), known
    except RefusedError as error:
        if error.code == "challenge.device" and known is None and not _is_first_key(info):
            raise RefusedError(
                f"the key of board {shown(str(id))} was rotated, and it is not in this enrolment file",
                code="enrol.rotated",
                hint="copy its entry from the file that it was first enrolled in",
            ) from error
        raise


def _is_first_key(info: Mapping[str, Any]) -> bool:
    """Is the key that the board names the one that its id was made of?"""
    try:
        key = PublicKey.from_bytes(bytes.fromhex(info["key"]), info.get("alg", ED25519))
        return key.kid.hex() == info.get("id")
    except (TallystickError, KeyError, TypeError, ValueError):
        return True


def enrol(
    console: Console,
    enrolment: Enrolment,
    who: Authority,
    *,
    settings: Settings,
    name: str | None = None,
    valid_days: int | None = None,
    kind: str | None = None,
) -> Enrolled:
    """Enrol the board at `console` and save `enrolment`; the board is left as it was if something is refused early.

    `kind`: what the credential says that the board is, as in `boards/`; None: what it says already, or nothing.
    """
    info = console.facts("info")
    if "key" not in info:
        fault = board_trouble.of_fault(info)
        raise UndoneError(fault.said, code=fault.code, hint=fault.remedy)
    answered, known = proven(console, enrolment, info)
    rotated = answered.key.kid != answered.device
    id = answered.device.hex()
    device_did = known.did if known is not None and rotated else did.did_key(answered.key)
    if known is not None and known.did != device_did:
        raise RefusedError(
            f"{id} is enrolled with another key",
            code="enrol.kid-taken",
            hint="erase this board's key",
        )
    holder = enrolment.named(name) if name is not None else None
    if holder is not None and holder.id != id:
        raise UseError(f"the name {name!r} is that of {holder.id}", code="enrol.name-taken")
    owner_key = who.owner.public.raw.hex()
    if info.get("owner") not in (None, owner_key):
        raise RefusedError(
            f"board {id} has another owner",
            code="enrol.owner",
            hint=f"whoever is allowed to, types on its console: unset owner {id}",
        )
    raw, why = _credential(known, who, device_did, end_of(valid_days), kind)
    result = Enrolled(
        Device(device_did, name or (known.name if known else None), raw), answered.next
    )
    if rotated:
        result.notes.append("its key was rotated: that its first key agreed stands in its chain")
    is_bare = info.get("owner") is None
    if is_bare:
        console.ask(f"set owner {owner_key}")
        result.done.append("owner pinned")
    _apply(console, settings, result)
    if settings.update_key is not None:
        _updates(console, settings.update_key, info.get("updates"), result)
    if why or is_bare:
        console.ask(f"set credential {raw.hex()}")
        result.done.append(why or "credential written again")
    grant = who.grant
    if grant is not None and info.get("gateway") != grant.key.kid.hex():
        _grant(console, grant)
        result.done.append(f"gateway {grant.key.kid.hex()} granted, serial {grant.serial}")
    _login(console, settings, known, result)
    _genesis(console, known, answered, result)
    _record(enrolment.path, known, grant, result)
    return result


def _updates(console: Console, key: PublicKey, pinned: object, result: Enrolled) -> None:
    """Pin the key that signs the board's updates; one that is pinned stays."""
    if pinned == key.raw.hex():
        return
    try:
        console.ask(f"set updates {key.raw.hex()}")
    except BoardRefusedError as error:
        if error.board_code == "usage":
            hint = "its agent is older: put this one on it with tally provision over the cable"
        else:
            hint = f"whoever is allowed to, types on its console: unset owner {result.device.id}"
        raise UndoneError(
            f"the board does not pin the update key: {error.board_detail}",
            code="enrol.update-key",
            hint=hint,
        ) from error
    result.done.append(f"update key {key.kid.hex()} pinned")


def _login(console: Console, settings: Settings, known: Device | None, result: Enrolled) -> None:
    """Give the board a login of its own at the broker, unless it has one from us or from somebody else."""
    device = result.device
    if settings.other_login:
        return
    present = console.facts("config")
    user = present.get("broker_user")
    held = None if known is None else known.login
    if user == device.id and present.get("broker_password") and held is not None:
        result.device = replace(device, login=held)
    elif settings.make_login and user in (None, device.id):
        made = Login.make(device.id)
        wanted = {"broker_user": made.user, "broker_password": made.password}
        console.ask(f"set config {json.dumps(wanted)}")
        result.device = replace(device, login=made.verifier)
        result.done.append("login at the broker made")


def _record(path: Path, known: Device | None, grant: Grant | None, result: Enrolled) -> None:
    """Bring the file up to date, as it is now: another board may have been enrolled into it meanwhile."""
    device = result.device
    with files.locked(path):
        enrolment = Enrolment.load(path, or_new=True)
        before = enrolment.with_id(device.id)
        shows = enrolment.grant()
        if device == before and (grant is None or grant == shows) and path.exists():
            return
        holder = enrolment.named(device.name) if device.name is not None else None
        if holder is not None and holder.id != device.id:
            raise UseError(
                f"the name {device.name!r} is that of {holder.id}", code="enrol.name-taken"
            )
        enrolment.put(device)
        if grant is not None:
            enrolment.set_grant(grant)
        enrolment.save()
    if known is None:
        result.done.append("added to the enrolment file")
    elif known.name != device.name:
        result.done.append(f"renamed from {known.name!r}")
    else:
        result.done.append("enrolment file brought up to date")


def start(console: Console) -> bool:
    """Let the board run if it is complete and waits; True if it was told to."""
    if console.facts("info").get("state") != "waiting":
        return False
    console.ask("run")
    return True


def _credential(
    known: Device | None, who: Authority, device_did: str, expires: int | None, kind: str | None
) -> tuple[bytes, str]:
    """The credential to hold, and why it is a new one (empty if it is the one that is held)."""
    why = "credential issued"
    if known is not None:
        held = known.parsed()
        kind = kind or held.board
        if held.issuer != who.issuer.key_did:
            why = f"credential issued anew: the old one is of {shown(held.issuer)}"
        elif held.expires is not None and held.expires <= int(time.time()):
            why = "credential issued anew: the old one has expired"
        elif held.board != kind:
            was = "no kind of board" if held.board is None else held.board
            why = f"credential issued anew: {kind}, the old one says {was}"
            expires = held.expires if expires is None else expires
        else:
            return known.credential, ""
    return who.credential(device_did, expires, kind), why


def _apply(console: Console, settings: Settings, result: Enrolled) -> None:
    """Set what differs: a board that is told the same again would sign a new `open` for nothing."""
    wanted = settings.wanted()
    if not wanted:
        return
    present = console.facts("config")
    changed = {name for name, value in wanted.items() if present.get(name) != value}
    if changed & {"broker_host", "broker_port"}:
        console.ask(f"set broker {settings.broker_host} {settings.broker_port}")
        result.done.append(f"broker {settings.broker_host}:{settings.broker_port}")
    if "interval_ms" in changed:
        console.ask(f"set interval {settings.interval_ms}")
        result.done.append(f"a reading every {settings.interval_ms} ms")
    if "batch" in changed:
        console.ask(f"set batch {settings.batch}")
        result.done.append(f"{settings.batch} readings a record")


def _grant(console: Console, grant: Grant) -> None:
    try:
        console.ask(f"set grant {grant.signed.raw.hex()}")
    except BoardRefusedError as error:
        raise UndoneError(
            f"the board does not take the grant: {error.board_detail}",
            code="enrol.grant",
            hint="a newer gateway was granted to it: tally grant --gateway LINE gives a higher serial",
        ) from error


def _genesis(console: Console, known: Device | None, answered: Challenge, result: Enrolled) -> None:
    if answered.next is not None:
        return
    lost = "the board has no head: its gateway's next acknowledgement gives it back"
    if known is not None:
        result.notes.append(lost)
        return
    try:
        console.ask("genesis")
    except BoardRefusedError as error:
        # it has signed before: only its owner's gateway knows where
        if "lost the head" not in error.board_detail:
            raise
        result.notes.append(lost)
        return
    result.done.append("chain begun")
    result.next = 0
