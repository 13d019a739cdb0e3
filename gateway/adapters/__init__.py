"""Adapters: verified readings for tools that know nothing of Tallystick.

An adapter is a class in one file. It is handed values and answers with messages to publish; it never
sees a record's bytes, a key, or the broker. What it is handed was verified and committed before, and
is of no forked or disowned range; what it publishes carries no signature and is no evidence. An
adapter that fails is logged and goes on with the next device: it can hold up nothing else.

::

    from tallystick_gateway.adapters import Adapter, Device, Publication, Reading

    class Influx(Adapter):
        def readings(self, device, readings):
            for one in readings:
                line = f"{one.channel},device={device.id} value={one.value} {one.time}000000000"
                yield Publication(f"influx/{device.id}", line.encode(), retain=False)

`tally-gateway run --adapter my_module:Influx`, or in the configuration file::

    [adapters]
    "my_module:Influx" = true

An installed package can give it a short name with the entry point group `tallystick.adapters`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Any, Final

from tallystick.body import Channel

__all__ = [
    "Adapter",
    "AdapterError",
    "Device",
    "Gateway",
    "Publication",
    "Reading",
    "load",
]

GROUP: Final = "tallystick.adapters"
BUILT_IN: Final = {
    "home-assistant": "tallystick_gateway.adapters.home_assistant:HomeAssistant",
    "senml": "tallystick_gateway.adapters.senml:SenML",
}


class AdapterError(Exception):
    """An adapter that cannot be used as the configuration asks for it."""


@dataclass(frozen=True)
class Gateway:
    """Whom the adapter works for. `url` is where people reach its HTTP side, or None."""

    id: str
    version: str
    url: str | None = None


@dataclass(frozen=True)
class Reading:
    """One verified value of one channel. `time`: Unix seconds by the board's clock, None if that was
    not set. `seq` and `record` (64 hex digits) name the record that proves it.
    """

    channel: str
    unit: str
    value: int | Decimal
    time: float | None
    seq: int
    record: str


@dataclass(frozen=True)
class Device:
    """A device as it stands. `integrity` is `ok`, `gap` or `forked`; counts are of records."""

    id: str
    did: str
    name: str | None
    agent: str | None  # version, self-reported
    channels: tuple[Channel, ...]  # of the newest `open`
    integrity: str
    head: int
    missing: int
    anchored: int | None  # highest seq under a confirmed anchor
    pending: int
    last_seen: int  # Unix seconds by the gateway's clock
    last_anchor: int | None  # Unix seconds by the ledger


@dataclass(frozen=True)
class Publication:
    """A message to publish, QoS 1."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass
class Adapter:
    """Base of all adapters: says nothing. `options` is its table in the configuration file."""

    gateway: Gateway
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Made once, when the gateway starts: check the options here."""

    def device(self, device: Device) -> Iterable[Publication]:  # noqa: ARG002
        """The device is new, or something about it changed."""
        return ()

    def readings(
        self,
        device: Device,  # noqa: ARG002
        readings: Sequence[Reading],  # noqa: ARG002
    ) -> Iterable[Publication]:
        """New readings of the device, in order of seq and time."""
        return ()

    def removed(self, device: str) -> Iterable[Publication]:  # noqa: ARG002
        """The device with this id is enrolled no more: take back what is retained."""
        return ()

    def option(self, name: str, default: str, *, among: Sequence[str] = ()) -> str:
        """A text from the options; `AdapterError` if it is none, or not `among` them."""
        value = self.options.get(name, default)
        if not isinstance(value, str) or (among and value not in among):
            allowed = " or ".join(among) or "a text"
            raise AdapterError(f"option {name!r} is {allowed}, not {value!r}")
        return value

    def check_options(self, *known: str) -> None:
        """`AdapterError` for an option that nobody reads: most likely a slip of the pen."""
        for name in self.options:
            if name not in known:
                listed = ", ".join(known) or "it has none"
                raise AdapterError(f"there is no option {name!r} (options: {listed})")


def load(gateway: Gateway, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Adapter]:
    """The adapters by name; `AdapterError` says which one cannot be used, and why."""
    loaded = {}
    for name, options in wanted.items():
        try:
            kind = _class(name)
            if not (isinstance(kind, type) and issubclass(kind, Adapter)):
                raise AdapterError("is no Adapter")
            loaded[name] = kind(gateway, options)
        except AdapterError as error:
            raise AdapterError(f"adapter {name!r}: {error}") from error
        # a stranger's module may raise what it likes
        except Exception as error:
            raise AdapterError(f"adapter {name!r}: {type(error).__name__}: {error}") from error
    return loaded


def _class(name: str) -> Any:
    place = BUILT_IN.get(name, name)
    if ":" in place:
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=GROUP, name=name):
        return point.load()
    known = ", ".join(sorted([*BUILT_IN, *(one.name for one in entry_points(group=GROUP))]))
    raise AdapterError(f"there is none of that name ({known}, or MODULE:CLASS)")
