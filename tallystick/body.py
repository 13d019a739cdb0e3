"""What a record says: open, readings, beacon, event, rotate (docs/format.md, section 4).

`fields` turns a body into the elements of a payload from `kind` on, `parse` turns them back and
refuses what is not in form.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import accumulate
from typing import Final, TypeAlias, cast

from tallystick import cbor, limits
from tallystick.errors import FormatError, LimitError, TallystickError
from tallystick.fields import is_int, octets, optional_octets, text, uint
from tallystick.keys import SIGNATURE_BYTES, PublicKey
from tallystick.value import Value

__all__ = [
    "Beacon",
    "Body",
    "Channel",
    "CheckpointRef",
    "Clock",
    "Event",
    "EventCode",
    "Kind",
    "MilestoneRef",
    "Open",
    "Readings",
    "Rotate",
    "checkpoint_field",
    "checkpoint_ref",
    "fields",
    "milestone_field",
    "milestone_ref",
    "parse",
]

_INT64: Final = range(-(2**63), 2**63)


class Kind(IntEnum):
    """What a record's payload holds after its head."""

    OPEN = 0
    READINGS = 1
    BEACON = 2
    EVENT = 3
    ROTATE = 4


class Clock(IntEnum):
    """Where the board's time came from."""

    UNSET = 0
    HAND = 1
    NTP = 2
    GNSS = 3
    MODEM = 4
    GATEWAY = 5


class EventCode(IntEnum):
    """The events that have a meaning of their own; others are kept and shown by number."""

    CLOCK = 0
    DROPPED = 1
    PRUNED = 2
    ADOPTED = 3
    CONFIG = 4
    SENSOR = 5
    UPDATE = 6
    TAMPER = 7
    COMMAND = 8


class MilestoneRef(Value):
    """A ledger milestone by name: ledger id (8 bytes), milestone id (32 bytes)."""

    ledger: bytes
    id: bytes


class CheckpointRef(Value):
    """A log's checkpoint by value: gateway id (8 bytes), size (leaves), root (32 bytes)."""

    gateway: bytes
    size: int
    root: bytes


class Channel(Value):
    """A column's meaning: name, SenML unit (RFC 8428, 12.1), and the power of ten of its integers."""

    name: str
    unit: str
    exponent: int


class Open(Value):
    """First record after power-on, reset, update or a change of configuration."""

    boots: int
    version: str
    digest: bytes
    clock: int
    fingerprint: bytes | None
    channels: tuple[Channel, ...]
    tick_ms: int
    milestone: MilestoneRef | None = None
    checkpoint: CheckpointRef | None = None


class Readings(Value):
    """n readings of all channels: `columns[channel][i]` is an integer or None, times 10^exponent
    of the `open`.

    `interval` is the ticks between readings, or the n-1 single differences.
    """

    boot: int
    interval: int | tuple[int, ...]
    columns: tuple[tuple[int | None, ...], ...]

    # by hand: there is one for each record, and the general way takes twice the time
    def __init__(
        self,
        boot: int,
        interval: int | tuple[int, ...],
        columns: tuple[tuple[int | None, ...], ...],
    ) -> None:
        own = self.__dict__
        own["boot"] = boot
        own["interval"] = interval
        own["columns"] = columns

    @property
    def count(self) -> int:
        """Readings in this record."""
        return len(self.columns[0])

    def times(self, start: int, tick_ms: int) -> list[float]:
        """Unix seconds of each reading, `start` being the record's time."""
        steps = (
            [self.interval] * (self.count - 1) if isinstance(self.interval, int) else self.interval
        )
        ticks, times = 0, [float(start)]
        for step in steps:
            ticks += step
            times.append(start + ticks * tick_ms / 1000)
        return times


class Beacon(Value):
    """What follows it in the chain is younger than the milestone it names."""

    milestone: MilestoneRef | None
    checkpoint: CheckpointRef | None
    nonce: bytes | None
    queue: int


class Event(Value):
    """Something happened: `code` (an `EventCode` or another number) and its arguments."""

    code: int
    args: tuple[cbor.Value, ...] = ()


class Rotate(Value):
    """A new key takes over; `possession` is its signature over what `possession_bytes` gives."""

    key: PublicKey
    possession: bytes


Body: TypeAlias = Open | Readings | Beacon | Event | Rotate


def parse(kind: Kind, fields: list[cbor.Value], seq: int) -> Body:
    """The body of a record of `kind` at `seq`; `FormatError` or `LimitError` otherwise."""
    match kind:
        case Kind.OPEN:
            return _open(fields)
        case Kind.READINGS:
            return _readings(fields, seq)
        case Kind.BEACON:
            return _beacon(fields)
        case Kind.EVENT:
            return _event(fields, seq)
        case Kind.ROTATE:
            return _rotate(fields)


# ---- bodies to fields ------------------------------------------------------------------------


def fields(body: Body) -> list[object]:
    """`kind` and the fields of `body`, ready to stand in a payload."""
    match body:
        case Open():
            return [
                Kind.OPEN.value,
                body.boots,
                body.version.encode(),
                body.digest,
                body.clock,
                body.fingerprint,
                [[c.name.encode(), c.unit.encode(), c.exponent] for c in body.channels],
                body.tick_ms,
                milestone_field(body.milestone),
                checkpoint_field(body.checkpoint),
            ]
        case Readings():
            interval = body.interval if isinstance(body.interval, int) else list(body.interval)
            return [Kind.READINGS.value, body.boot, interval, *map(_differences, body.columns)]
        case Beacon():
            return [
                Kind.BEACON.value,
                milestone_field(body.milestone),
                checkpoint_field(body.checkpoint),
                body.nonce,
                body.queue,
            ]
        case Event():
            return [Kind.EVENT.value, body.code, *body.args]
        case Rotate():
            return [Kind.ROTATE.value, body.key.alg, body.key.raw, body.possession]


def _differences(column: Sequence[int | None]) -> list[int | None]:
    """First value, then differences to the last value that was there."""
    last = 0
    out: list[int | None] = []
    for value in column:
        if value is None:
            out.append(None)
        else:
            out.append(value - last)
            last = value
    return out


def milestone_field(ref: MilestoneRef | None) -> list[object] | None:
    """`ref` as it stands in a payload."""
    return None if ref is None else [ref.ledger, ref.id]


def checkpoint_field(ref: CheckpointRef | None) -> list[object] | None:
    """`ref` as it stands in a payload."""
    return None if ref is None else [ref.gateway, ref.size, ref.root]


# ---- fields to bodies ------------------------------------------------------------------------


def _open(fields: list[cbor.Value]) -> Open:
    if len(fields) != 9:
        raise FormatError("record.shape", f"an open has 9 fields, not {len(fields)}")
    boots, version, digest, clock, fingerprint, channels, tick, milestone, checkpoint = fields
    if not isinstance(channels, list) or not 1 <= len(channels) <= limits.CHANNELS:
        raise FormatError("record.channels", "an open has 1 to 16 channels")
    return Open(
        boots=uint(boots, "boots", limits.SEQ),
        version=text(version, "version"),
        digest=octets(digest, "digest", 16),
        clock=uint(clock, "clock", max(Clock)),
        fingerprint=optional_octets(fingerprint, "fingerprint", 16),
        channels=tuple(_channel(channel) for channel in channels),
        tick_ms=uint(tick, "tick", limits.TIME, at_least=1),
        milestone=milestone_ref(milestone),
        checkpoint=checkpoint_ref(checkpoint),
    )


def _channel(value: cbor.Value) -> Channel:
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("record.channels", "a channel is [name, unit, exponent]")
    name, unit, exponent = value
    if not is_int(exponent) or abs(exponent) > limits.EXPONENT:
        raise FormatError("record.channels", f"exponent {exponent!r} is not in -30..30")
    return Channel(text(name, "channel name"), text(unit, "unit"), exponent)


def _readings(fields: list[cbor.Value], seq: int) -> Readings:
    if not 3 <= len(fields) <= 2 + limits.CHANNELS:
        raise FormatError("record.shape", "readings have boot, interval and 1 to 16 columns")
    boot = uint(fields[0], "boot", seq - 1 if seq else 0)
    columns = tuple([_column(column) for column in fields[2:]])
    count = len(columns[0])
    if len({len(column) for column in columns}) != 1:
        raise FormatError("record.columns", "columns of different length")
    interval = fields[1]
    if isinstance(interval, list):
        steps = tuple(uint(step, "interval", limits.TIME) for step in interval)
        if len(steps) != count - 1 or not steps:
            raise FormatError("record.interval", f"{len(steps)} intervals for {count} readings")
        return Readings(boot, steps, columns)
    step = uint(interval, "interval", limits.TIME)
    # one reading has one spelling
    if count == 1 and step != 0:
        raise FormatError("record.interval", "one reading has interval 0")
    return Readings(boot, step, columns)


def _column(value: cbor.Value) -> tuple[int | None, ...]:
    if not isinstance(value, list) or not value:
        raise FormatError("record.columns", "a column is an array of integers and null")
    if len(value) > limits.READINGS:
        raise LimitError("record.columns", f"{len(value)} readings, the limit is {limits.READINGS}")
    first = value[0]
    if len(value) == 1 and is_int(first):  # what most boards send
        if first not in _INT64:
            raise FormatError("record.columns", "a value or difference beyond 64 bits")
        return (first,)
    if set(map(type, value)) == {int}:  # the common case, in C
        values = tuple(accumulate(cast("list[int]", value)))
        _check_64_bits(cast("list[int]", value), values)
        return values
    last = 0
    out: list[int | None] = []
    for item in value:
        if item is None:
            out.append(None)
            continue
        if not is_int(item):
            raise FormatError("record.columns", "a column is an array of integers and null")
        last += item
        _check_64_bits((item, last))
        out.append(last)
    return tuple(out)


def _check_64_bits(*sequences: Sequence[int]) -> None:
    for sequence in sequences:
        if min(sequence) < _INT64.start or max(sequence) >= _INT64.stop:
            raise FormatError("record.columns", "a value or difference beyond 64 bits")


def _beacon(fields: list[cbor.Value]) -> Beacon:
    if len(fields) != 4:
        raise FormatError("record.shape", f"a beacon has 4 fields, not {len(fields)}")
    milestone, checkpoint, nonce, queue = fields
    return Beacon(
        milestone_ref(milestone),
        checkpoint_ref(checkpoint),
        optional_octets(nonce, "nonce", 16),
        uint(queue, "queue", limits.SEQ),
    )


def _event(fields: list[cbor.Value], seq: int) -> Event:
    if len(fields) > 1 + limits.EVENT_ARGS:
        raise LimitError("record.event", f"{len(fields) - 1} arguments, the limit is 16")
    code, args = uint(fields[0], "event code", 2**32 - 1), tuple(fields[1:])
    match code:
        case EventCode.CLOCK:
            _event_args(args, 3, 0)
            uint(args[2], "clock", max(Clock))
        case EventCode.DROPPED | EventCode.PRUNED:
            _event_args(args, 2, 0)
            first, last = (uint(arg, "seq", limits.SEQ) for arg in args)
            # stops an event from giving up what is yet to come, its own number included
            if not first <= last < seq:
                raise FormatError("record.event", f"gives up {first}..{last} at seq {seq}")
        case EventCode.ADOPTED:
            _event_args(args, 3, 1)
            octets(args[1], "gateway id", 8)
            if uint(args[0], "upto", limits.SEQ) != seq - 1:
                raise FormatError("record.event", f"adopts {args[0]!r} at seq {seq}")
        case EventCode.CONFIG:
            _event_args(args, 1, 1)
            octets(args[0], "digest", 16)
        case EventCode.SENSOR:
            _event_args(args, 2, 0)
            uint(args[1], "sensor state", 2)
        case EventCode.UPDATE:
            _event_args(args, 3, 2)
            text(args[0], "version before")
            text(args[1], "version after")
            uint(args[2], "update state", 1)
        case EventCode.TAMPER:
            _event_args(args, 2, 0)
        case EventCode.COMMAND:
            _event_args(args, 2, 1)
            uint(args[0], "counter", limits.SEQ)
            text(args[1], "command name", limits.COMMAND_NAME_BYTES)
    return Event(code, args)


def _event_args(args: Sequence[cbor.Value], count: int, strings: int) -> None:
    """`count` arguments, `strings` of them byte strings, the rest unsigned integers."""
    held = sum(isinstance(arg, bytes) for arg in args)
    uints = sum(is_int(arg) and arg >= 0 for arg in args)
    if len(args) != count or held != strings or uints != count - strings:
        raise FormatError("record.event", "a known event with other arguments")


def _rotate(fields: list[cbor.Value]) -> Rotate:
    if len(fields) != 3:
        raise FormatError("record.shape", f"a rotate has 3 fields, not {len(fields)}")
    alg, raw, possession = fields
    if not is_int(alg) or not isinstance(raw, bytes):
        raise FormatError("record.rotate", "a rotate is [alg, key, possession]")
    try:
        key = PublicKey.from_bytes(raw, alg)
    except TallystickError as error:
        raise FormatError("record.rotate", f"the new key is refused: {error.detail}") from error
    return Rotate(key, octets(possession, "possession", SIGNATURE_BYTES))


def milestone_ref(value: cbor.Value) -> MilestoneRef | None:
    """[ledger id, milestone id] or null."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError("record.milestone", "a milestone is [ledger id, milestone id]")
    return MilestoneRef(octets(value[0], "ledger id", 8), octets(value[1], "milestone id", 32))


def checkpoint_ref(value: cbor.Value) -> CheckpointRef | None:
    """[gateway id, size, root] or null."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("record.checkpoint", "a checkpoint is [gateway id, size, root]")
    return CheckpointRef(
        octets(value[0], "gateway id", 8),
        uint(value[1], "size", limits.TREE_SIZE),
        octets(value[2], "root", 32),
    )
