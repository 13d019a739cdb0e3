"""What a record says, as facts for `tally inspect`: readings scaled exactly by the `open` that is at hand.

Nothing is verified. Values are decimal numbers in text, never floats: what was signed is what is shown.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from tallystick import cbor
from tallystick.body import (
    Beacon,
    CheckpointRef,
    Clock,
    Event,
    EventCode,
    MilestoneRef,
    Open,
    Readings,
    Rotate,
)
from tallystick.cose import Signed
from tallystick.record import Record
from tallystick_host.words import rfc3339, rfc3339_ms, scaled

__all__ = ["Facts", "milestone_ref", "plain", "record_facts", "signed_facts"]

Facts: TypeAlias = dict[str, object]

_CLOCKS: Final = {
    Clock.UNSET: "not set",
    Clock.HAND: "set by hand",
    Clock.NTP: "NTP",
    Clock.GNSS: "GNSS",
    Clock.MODEM: "modem",
    Clock.GATEWAY: "acknowledgement of the gateway",
}


def signed_facts(one: Signed) -> Facts:
    """Of any signed object: its id, and whose key it names."""
    return {"id": one.id.hex(), "signed by key": one.kid.hex(), "bytes": len(one.raw)}


def record_facts(one: Record, opened: Open | None) -> Facts:
    """A record; `opened` is the `open` in force for readings, if it is at hand."""
    return {
        "seq": one.seq,
        "kind": one.kind.name.lower(),
        "time": rfc3339(one.time),
        "clock set": one.clock_set,
        "prev": one.prev.hex(),
        **signed_facts(one.signed),
        **_body(one, opened),
    }


def _body(one: Record, opened: Open | None) -> Facts:
    match one.body:
        case Open() as body:
            return _open(body)
        case Readings() as body:
            return _readings(one, body, opened)
        case Beacon() as body:
            return {
                "milestone": milestone_ref(body.milestone),
                "checkpoint": _checkpoint_ref(body.checkpoint),
                "nonce": None if body.nonce is None else body.nonce.hex(),
                "queue": body.queue,
            }
        case Event() as body:
            known = body.code in set(EventCode)
            name = EventCode(body.code).name.lower() if known else str(body.code)
            return {"event": name, "args": [plain(arg) for arg in body.args]}
        case Rotate() as body:
            return {"new key": body.key.raw.hex(), "new kid": body.key.kid.hex()}


def _open(body: Open) -> Facts:
    return {
        "boots": body.boots,
        "version": body.version,
        "digest": body.digest.hex(),
        "clock": _CLOCKS[Clock(body.clock)],
        "fingerprint": None if body.fingerprint is None else body.fingerprint.hex(),
        "tick": f"{body.tick_ms} ms",
        "channels": [
            {"name": one.name, "unit": one.unit, "exponent": one.exponent} for one in body.channels
        ],
        "milestone": milestone_ref(body.milestone),
        "checkpoint": _checkpoint_ref(body.checkpoint),
    }


def _readings(one: Record, body: Readings, opened: Open | None) -> Facts:
    """A table: one row a reading. Without its `open` the integers stand as they are, and ticks have no length."""
    fits = opened is not None and len(opened.channels) == len(body.columns)
    if opened is None or not fits:
        header = ["time", *(f"channel {i} (not scaled)" for i in range(len(body.columns)))]
        start = rfc3339(one.time)
        times = [start] + [f"{start} + {ticks} ticks" for ticks in _ticks(body)[1:]]
        columns = [[None if v is None else str(v) for v in column] for column in body.columns]
    else:
        header = ["time", *(f"{c.name} {c.unit}".strip() for c in opened.channels)]
        times = [_at(one, ticks * opened.tick_ms) for ticks in _ticks(body)]
        columns = [
            [None if v is None else scaled(v, channel.exponent) for v in column]
            for channel, column in zip(opened.channels, body.columns, strict=True)
        ]
    rows = [list(row) for row in zip(times, *columns, strict=True)]
    return {"boot": body.boot, "count": body.count, "readings": {"columns": header, "rows": rows}}


def _ticks(body: Readings) -> list[int]:
    """Ticks from the first reading to each."""
    steps = [body.interval] * (body.count - 1) if isinstance(body.interval, int) else body.interval
    ticks = [0]
    for step in steps:
        ticks.append(ticks[-1] + step)
    return ticks


def _at(one: Record, after_ms: int) -> str:
    if one.clock_set:
        return rfc3339_ms(one.time * 1000 + after_ms)
    return f"start + {scaled(one.time * 1000 + after_ms, -3)} s"


def milestone_ref(ref: MilestoneRef | None) -> Facts | None:
    return None if ref is None else {"ledger": ref.ledger.hex(), "id": ref.id.hex()}


def _checkpoint_ref(ref: CheckpointRef | None) -> Facts | None:
    if ref is None:
        return None
    return {"gateway": ref.gateway.hex(), "size": ref.size, "root": ref.root.hex()}


def plain(value: cbor.Value) -> object:
    """An argument: bytes that are text as text, other bytes in hexadecimal."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return value.hex()
        return text if text and text.isprintable() else value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
