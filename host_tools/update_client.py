"""An update on its way over MQTT: handed to a gateway, offered to boards, and what boards say of it
(docs/format.md, sections 6.1 and 13).

1. The gateway is asked how much of the file it has, and gets the rest in pieces: a command that broke off goes on, and
   so does one whose gateway has started anew meanwhile.
2. It keeps the file when all of it is there and consistent, and says so.
3. The offer names the boards; the gateway puts the manifest where they look for it.
4. What a board has refused before the offer says nothing of this one: whoever waits listens from before it on.

Neither the gateway's answers nor the states of boards are signed. What a board runs stands in its chain: an event
`update`, and the agent digest in its next `open`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from tallystick import topics
from tallystick.errors import TallystickError
from tallystick.update import Update, parse_manifest
from tallystick_host import limits
from tallystick_host.broker_line import Broker, Line, Message, connection
from tallystick_host.errors import RefusedError, UndoneError
from tallystick_host.words import shown

__all__ = ["FINAL", "Standing", "follow", "line_to", "listen", "offer", "standings", "upload"]

FINAL: Final = ("done", "undone", "refused")
_SILENT: Final = "does it run, at this broker, is the line that of this gateway, and may this login publish updates?"


@dataclass(frozen=True)
class Standing:
    """What a board said last of updates, and what is offered to it; None where nothing is.

    state: fetching | switching | done | undone | refused.
    """

    device: str
    counter: int | None = None
    state: str | None = None
    code: str | None = None
    detail: str | None = None
    done: int | None = None
    size: int | None = None
    version: str | None = None
    offered: int | None = None

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return dict(vars(self))


def line_to(at: Broker) -> AbstractContextManager[Line]:
    """The connection that the steps go over."""
    return connection(at, limits.UPDATE_ANSWER_BYTES)


def listen(line: Line) -> None:
    """Hear from now on what boards say of updates; for `follow`, before `offer`."""
    line.subscribe(topics.update_states())


def upload(line: Line, gateway: bytes, one: Update, advance: Callable[[int], None]) -> None:
    """Steps 1 and 2. `advance` hears of bytes that are over."""
    where = topics.Gateway(gateway)
    line.subscribe(where.update_answer)
    head = one.id + len(one.raw).to_bytes(4, "big")
    have, data = 0, b""
    heard, stalls, most = False, 0, 0
    while True:
        line.publish(where.update, head + have.to_bytes(4, "big") + data, "the update")
        try:
            said = _answer(line, where.update_answer, one.id)
        except UndoneError:
            if not heard:
                raise
            heard, data = False, b""  # once more: it may have started anew
            continue
        now = said.get("have")
        if not isinstance(now, int) or not 0 <= now <= len(one.raw):
            raise UndoneError("the gateway's answer is none", code="gateway.answer")
        if said.get("kept") is True:
            advance(len(one.raw) - most)
            return
        # an answer can come twice, or be for another laptop that brings the same
        stalls = stalls + 1 if heard and now <= have else 0
        if stalls > limits.UPDATE_STALLS:
            raise UndoneError("the gateway takes no more of it", code="gateway.answer")
        advance(max(0, now - most))
        heard, have, most = True, now, max(most, now)
        data = one.raw[have : have + limits.UPDATE_PIECE_BYTES]


def offer(
    line: Line,
    gateway: bytes,
    one: Update | None,
    devices: Sequence[str] | None,
    aside: list[Message] | None = None,
) -> tuple[list[str], list[str]]:
    """Step 3: who was offered it, and who is not enrolled there. `one` None takes back what was offered; `devices`
    None: all that are enrolled. `aside` gets what else came meanwhile.
    """
    where = topics.Gateway(gateway)
    line.subscribe(where.update_answer)
    wanted = {
        "update": None if one is None else one.id.hex(),
        "devices": "all" if devices is None else list(devices),
    }
    line.publish(where.offer, json.dumps(wanted).encode(), "the offer")
    id = None if one is None else one.id
    said = _answer(line, where.update_answer, id, "offered", aside)
    return _ids(said.get("offered")), _ids(said.get("unknown"))


def standings(at: Broker) -> list[Standing]:
    """What every board that has anything to say of updates said last, by id."""
    with line_to(at) as line:
        listen(line)
        line.subscribe(topics.offers())
        found: dict[str, Standing] = {}
        for message in line.messages(limits.UPDATE_LOOK_S):
            _note(found, message.topic, message.payload)
    return [found[name] for name in sorted(found)]


def follow(
    line: Line,
    devices: Sequence[str],
    counter: int,
    wait_s: float,
    heard: Callable[[Standing], None],
    aside: Sequence[Message] = (),
) -> dict[str, Standing]:
    """Wait until each of these boards has said how update `counter` ended, or the time is over. What each said last.
    `aside`: what came since `listen`.
    """
    found: dict[str, Standing] = {}
    said: dict[str, Standing] = {}
    if not devices:
        return said
    for message in chain(aside, line.messages(wait_s)):
        name = _note(found, message.topic, message.payload)
        if name not in devices:
            continue
        state = found[name].state
        # a board that cannot read a manifest does not know its counter either
        ours = (counter,) if message.retained or state != "refused" else (counter, None)
        if found[name].counter not in ours or (message.retained and state == "refused"):
            continue
        heard(found[name])
        said[name] = found[name]
        if all(one in said and said[one].state in FINAL for one in devices):
            break
    return said


def _answer(
    line: Line,
    topic: str,
    id: bytes | None,
    key: str = "have",
    aside: list[Message] | None = None,
) -> Mapping[str, Any]:
    """The gateway's answer that speaks of this update; `RefusedError` with its code."""
    named = None if id is None else id.hex()
    for message in line.messages(limits.UPDATE_S):
        if message.topic != topic:
            if aside is not None:
                aside.append(message)
            continue
        said = _object(message.payload)
        if said.get("update") != named:
            continue
        code = said.get("code")
        if isinstance(code, str):
            raise RefusedError(
                f"the gateway refuses it: {shown(str(said.get('detail')))}", code=shown(code)
            )
        if key in said:
            return said
    raise UndoneError(
        f"no answer of the gateway in {limits.UPDATE_S:.0f} s", code="gateway.silent", hint=_SILENT
    )


def _note(found: dict[str, Standing], topic: str, payload: bytes) -> str:
    """Put into `found` what a message says of a board; its id, "" if it says nothing."""
    try:
        device, leaf = topics.parse_device(topic)
    except TallystickError:
        return ""
    name = device.hex()
    before = found.get(name, Standing(name))
    if leaf == "update":
        try:
            offered = parse_manifest(payload).counter if payload else None
        except TallystickError:
            return ""
        found[name] = Standing(**{**vars(before), "offered": offered})
        return name
    said = _object(payload)
    fields: dict[str, Any] = {"device": name, "offered": before.offered}
    for field in ("counter", "done", "size"):
        value = said.get(field)
        fields[field] = value if isinstance(value, int) and not isinstance(value, bool) else None
    for field in ("state", "code", "detail", "version"):
        value = said.get(field)
        fields[field] = shown(value) if isinstance(value, str) else None
    found[name] = Standing(**fields)
    return name


def _object(payload: bytes) -> dict[str, Any]:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _ids(value: object) -> list[str]:
    return [shown(one) for one in value if isinstance(one, str)] if isinstance(value, list) else []
