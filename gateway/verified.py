"""The newest verified reading of each channel, as JSON for people and dashboards.

Only what is admitted, and of no key whose chain is forked: nothing untrusted is ever published
again. It is a convenience without a signature; evidence is the proof file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import structlog

from tallystick import record, topics
from tallystick.body import Open, Readings
from tallystick.chain import Chain
from tallystick.errors import FormatError, TallystickError
from tallystick.record import Record
from tallystick_gateway.store import Store

__all__ = ["Opens", "newest"]

log = structlog.get_logger()


class Opens:
    """The `open` in force of each device, read once: a committed record never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[bytes, tuple[int, Open | None]] = {}

    def at(self, device: bytes, seq: int) -> Open | None:
        """The `open` at this seq of the device's chain, if it is there."""
        held = self._held.get(device)
        if held is not None and held[0] == seq:
            return held[1]
        raw = self._store.raw_at(device, seq)
        if raw is None:  # it may still come
            return None
        try:
            body = record.parse(raw).body
        except TallystickError as error:
            # the disk has changed it; what boards are told does not wait for what people see
            log.error("a stored record is damaged", seq=seq, reason=str(error))
            return None
        opened = body if isinstance(body, Open) else None
        self._held[device] = seq, opened
        return opened


def newest(chain: Chain, latest: Record, store: Store, opens: Opens) -> Iterator[tuple[str, bytes]]:
    """(topic, JSON) for each channel of the readings `latest`, the newest that were admitted since
    the last time.

    Nothing if newer ones are in the chain already, if they belong to a fork, or miss their `open`.
    """
    if not isinstance(latest.body, Readings) or chain.fork_of(latest) is not None:
        return
    # what fills an old gap is no news
    if chain.top > latest.seq and store.newer_readings(chain.device, latest.seq):
        return
    opened = opens.at(chain.device, latest.body.boot)
    if opened is None or len(opened.channels) != len(latest.body.columns):
        return
    times = latest.body.times(latest.time, opened.tick_ms)
    for channel, column in zip(opened.channels, latest.body.columns, strict=True):
        at = max((i for i, value in enumerate(column) if value is not None), default=None)
        value = None if at is None else column[at]
        if at is None or value is None:
            continue
        try:
            topic = topics.Device(chain.device).verified(channel.name)
        except FormatError:  # a name with `/` or `#` in it has no topic
            continue
        said = {
            "device": chain.device.hex(),
            "channel": channel.name,
            "unit": channel.unit,
            "value": _scaled(value, channel.exponent),
            "time": times[at] if latest.clock_set else None,
            "seq": latest.seq,
            "id": latest.id.hex(),
        }
        yield topic, json.dumps(said).encode()


def _scaled(value: int, exponent: int) -> int | float:
    """value x 10^exponent, as near as JSON's numbers come."""
    return value * 10**exponent if exponent >= 0 else float(f"{value}e{exponent}")
