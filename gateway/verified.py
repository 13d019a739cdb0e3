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

__all__ = ["newest"]

log = structlog.get_logger()


def newest(chain: Chain, latest: Record, store: Store) -> Iterator[tuple[str, bytes]]:
    """(topic, JSON) for each channel of the readings `latest`, the newest that were admitted since
    the last time.

    Nothing if newer ones are in the chain already, if they belong to a fork, or miss their `open`.
    """
    if not isinstance(latest.body, Readings) or chain.fork_of(latest) is not None:
        return
    # what fills an old gap is no news
    if store.newer_readings(chain.device, latest.seq):
        return
    rows = store.rows(chain.device, latest.body.boot, latest.body.boot, 1)
    try:
        opened = record.parse(rows[0][2]).body if rows else None
    except TallystickError as error:
        # the disk has changed it; what boards are told does not wait for what people see
        log.error("a stored record is damaged", seq=latest.body.boot, reason=str(error))
        return
    if not isinstance(opened, Open) or len(opened.channels) != len(latest.body.columns):
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
