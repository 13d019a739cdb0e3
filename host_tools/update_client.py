"""An update on its way over MQTT: handed to a gateway, offered to boards, and what boards say of it
(docs/format.md, sections 6.1 and 13).

1. The gateway is asked how much of the file it has, and gets the rest in pieces: a command that broke off goes on.
2. It keeps the file when all of it is there and consistent, and says so.
3. The offer names the boards; the gateway puts the manifest where they look for it.

Neither the gateway's answers nor the states of boards are signed. What a board runs stands in its chain: an event
`update`, and the agent digest in its next `open`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tallystick import topics
from tallystick.errors import TallystickError
from tallystick.update import Update, parse_manifest
from tallystick_host import limits
from tallystick_host.broker_line import Broker, Line, connection
from tallystick_host.errors import RefusedError, UndoneError
from tallystick_host.words import shown

__all__ = ["FINAL", "Standing", "follow", "offer", "standings", "upload"]

FINAL: Final = ("done", "undone", "refused")
_SILENT: Final = "does it run, at this broker, and is the line that of this gateway?"


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


def upload(at: Broker, gateway: bytes, one: Update, advance: Callable[[int], None]) -> None:
    """Steps 1 and 2. `advance` hears of bytes that are over."""
    where = topics.Gateway(gateway)
    with connection(at, limits.UPDATE_ANSWER_BYTES) as line:
        line.subscribe(where.update_answer)
        head = one.id + len(one.raw).to_bytes(4, "big")
        have = -1
        at_byte, data = 0, b""
        while True:
            line.publish(where.update, head + at_byte.to_bytes(4, "big") + data, "the update")
            said = _answer(line, where.update_answer, one.id)
            now = said.get("have")
            if not isinstance(now, int) or not 0 <= now <= len(one.raw):
                raise UndoneError("the gateway's answer is none", code="gateway.answer")
            if said.get("kept") is True:
                advance(len(one.raw) - max(have, 0))
                return
            if have >= 0 and now <= have:
                raise UndoneError("the gateway takes no more of it", code="gateway.answer")
            advance(now - max(have, 0))
            have = at_byte = now
            data = one.raw[have : have + limits.UPDATE_PIECE_BYTES]


def offer(
    at: Broker, gateway: bytes, one: Update | None, devices: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Step 3: who was offered it, and who is not enrolled there. `one` None takes back what was offered; `devices`
    None: all that are enrolled.
    """
    where = topics.Gateway(gateway)
    with connection(at, limits.UPDATE_ANSWER_BYTES) as line:
        line.subscribe(where.update_answer)
        wanted = {
            "update": None if one is None else one.id.hex(),
            "devices": "all" if devices is None else list(devices),
        }
        line.publish(where.offer, json.dumps(wanted).encode(), "the offer")
        said = _answer(line, where.update_answer, None if one is None else one.id, "offered")
    return _ids(said.get("offered")), _ids(said.get("unknown"))


def standings(at: Broker) -> list[Standing]:
    """What every board that has anything to say of updates said last, by id."""
    with connection(at, limits.UPDATE_ANSWER_BYTES) as line:
        line.subscribe(topics.update_states())
        line.subscribe(topics.offers())
        found: dict[str, Standing] = {}
        for topic, payload in line.messages(limits.UPDATE_LOOK_S):
            _note(found, topic, payload)
    return [found[name] for name in sorted(found)]


def follow(
    at: Broker,
    devices: Sequence[str],
    counter: int,
    wait_s: float,
    heard: Callable[[Standing], None],
) -> dict[str, Standing]:
    """Wait until each of these boards has said how update `counter` ended, or the time is over. What each said last."""
    found: dict[str, Standing] = {}
    ended: dict[str, Standing] = {}
    deadline = time.monotonic() + wait_s
    with connection(at, limits.UPDATE_ANSWER_BYTES) as line:
        line.subscribe(topics.update_states())
        for topic, payload in line.messages(max(0.0, deadline - time.monotonic())):
            name = _note(found, topic, payload)
            if name not in devices or found[name].counter != counter:
                continue
            heard(found[name])
            ended[name] = found[name]
            if all(one in ended and ended[one].state in FINAL for one in devices):
                break
    return ended


def _answer(line: Line, topic: str, id: bytes | None, key: str = "have") -> Mapping[str, Any]:
    """The gateway's answer that speaks of this update; `RefusedError` with its code."""
    named = None if id is None else id.hex()
    for got, payload in line.messages(limits.UPDATE_S):
        if got != topic:
            continue
        said = _object(payload)
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
