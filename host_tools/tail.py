"""What a board says while it runs: its talk, and a line whenever its state changes. And its first verified record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from tallystick import policy, proof, verify
from tallystick.verdict import Status
from tallystick_host import source
from tallystick_host.console import Console
from tallystick_host.errors import HostError, RefusedError, UndoneError
from tallystick_host.question import AtSeq
from tallystick_host.words import plural, shown

__all__ = ["VERIFIED_S", "first_verified", "follow", "state_line"]

VERIFIED_S: Final = 60.0
_POLL_S: Final = 1.0


def state_line(status: dict[str, Any]) -> str:
    """A board's `status`, as one line."""
    signed = status.get("next")
    parts = [str(status.get("light") or status.get("state"))]
    parts.append("nothing signed" if signed is None else f"{plural(signed, 'record')} signed")
    if status.get("queue"):
        parts.append(f"{status['queue']} waiting")
    upto = status.get("upto")
    parts.append("none acknowledged" if upto is None else f"acknowledged up to {upto}")
    parts += [str(status[name]) for name in ("halted", "sensor", "link") if status.get(name)]
    return shown(", ".join(parts))


def follow(console: Console, say: Callable[[str], None], seconds: float | None) -> None:
    """Say each change, for `seconds` or until Ctrl-C. Its talk goes to whom `console` was given."""
    deadline = None if seconds is None else time.monotonic() + seconds
    before = ""
    while deadline is None or time.monotonic() < deadline:
        line = state_line(console.facts("status"))
        if line != before:
            say(line)
            before = line
        time.sleep(_POLL_S)


def first_verified(url: str, id: str, seq: int, trusted: policy.Policy) -> str:
    """Wait until record `seq` of the device is VERIFIED by `trusted`; its verdict. Errors say what is missing."""
    deadline = time.monotonic() + VERIFIED_S
    said = "the gateway does not have it"
    while time.monotonic() < deadline:
        try:
            data = source.from_gateway(url, id, AtSeq(seq), not_before=False)
        except HostError as error:
            if error.code != "source.refused":
                raise
        else:
            verdict = verify.verify(proof.parse(data), trusted)
            if verdict.status is Status.VERIFIED:
                return str(verdict.status)
            said = f"it is {verdict.status}"
            if verdict.status is Status.TAMPERED:
                raise RefusedError(f"record {seq} of {id} is TAMPERED", code="up.tampered")
            if verdict.status is Status.UNTRUSTED:
                raise UndoneError(
                    f"record {seq} of {id} is UNTRUSTED by your policy",
                    code="up.untrusted",
                    hint="tally policy trust gateway LINE, and ledger LINE",
                )
        time.sleep(_POLL_S)
    raise UndoneError(
        f"record {seq} of {id} was not verified in {VERIFIED_S:.0f} s: {said}",
        code="up.pending",
        hint="tally doctor looks for the reason",
    )
