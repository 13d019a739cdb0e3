"""Hands what is committed to the adapters, from a thread and a database connection of its own.

1. It follows the log leaf by leaf, so that an adapter sees every admitted reading once, in order,
   after it is durable, and never before.
2. What a fork makes untrusted, what is disowned, and what is no device's that is enrolled now is
   left out.
3. It publishes through the gateway's own connection. While there is none it waits where it is; after
   a new connection it says everything that is retained once more.
4. An adapter publishes below its own topics, never on those of Tallystick but `<id>/verified`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from operator import methodcaller
from typing import Final

import structlog

from tallystick import senml, topics
from tallystick.body import Readings
from tallystick.chain import Chain
from tallystick.errors import TallystickError
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.adapters import Adapter, Device, Gateway, Publication, Reading
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.folder import Folder, FolderError
from tallystick_gateway.mqtt import Broker
from tallystick_gateway.views import Views

__all__ = ["Follower", "gateway_facts"]

log = structlog.get_logger()

_LOOK_S: Final = 0.5
_STANDING_EVERY: Final = 4  # looks


def gateway_facts(gateway: bytes, url: str | None) -> Gateway:
    """What adapters are told of the gateway."""
    return Gateway(gateway.hex(), version("tallystick"), url.rstrip("/") if url else None)


@dataclass(frozen=True)
class _Said:
    """What was last said of a device, and what it was drawn from."""

    seen: tuple[bytes | None, int | None, EnrolledDevice | None]
    anchored: int
    device: Device


class _Away(Exception):  # noqa: N818 # no error: the broker is not there at the moment
    """Nothing can be published now."""


class Follower(threading.Thread):
    """`start`, then `stop`. `devices` gives who is enrolled now."""

    def __init__(
        self,
        folder: Folder,
        broker: Broker,
        devices: Callable[[], Mapping[bytes, EnrolledDevice]],
        adapters: Mapping[str, Adapter],
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._folder, self._broker, self._devices = folder, broker, devices
        self._adapters = adapters
        self._stopping = threading.Event()
        self._leaf: int | None = None
        self._said: dict[bytes, _Said] = {}
        self._complained: set[tuple[str, str]] = set()

    def stop(self) -> None:
        """End after the device in hand."""
        self._stopping.set()
        self.join(5.0)

    def run(self) -> None:
        """The loop."""
        connected, looks = False, 0
        while not self._stopping.wait(_LOOK_S):
            if not self._broker.is_connected:
                connected = False
                continue
            try:
                if not connected:
                    self._said.clear()
                    looks = 0
                    connected = True
                self._look(standing=looks % _STANDING_EVERY == 0)
                looks += 1
            except _Away:
                connected = False
            except (sqlite3.Error, OSError, FolderError) as error:
                log.warning("adapters wait for the database", reason=str(error))

    def _look(self, *, standing: bool) -> None:
        views = Views.read(self._folder.database)
        try:
            if self._leaf is None:
                self._leaf = views.size()
            while not self._stopping.is_set() and self._follow(views):
                pass
            if standing:
                self._stand(views)
        finally:
            views.close()

    def _follow(self, views: Views) -> bool:
        """Publish the readings of the next leaves; False when there are no more."""
        with views.snapshot():
            found = views.since(self._leaf or 0, bounds.FOLLOWED_LEAVES)
            devices = self._devices()
            admitted = [
                (dev, rec)
                for _, dev, rec, good in found
                if good and rec is not None and dev in devices
            ]
            admitted.sort(key=lambda one: (one[0], one[1].seq))
            for device, group in groupby(admitted, lambda one: one[0]):
                chain = views.chain(device)
                if chain is None:
                    continue
                records = [rec for _, rec in group]
                try:
                    readings = list(self._readings(views, chain, records))
                    facts = self._facts(views, device, devices[device], chain) if readings else None
                except TallystickError as error:
                    self._damaged(device, error)
                    continue
                if facts is not None:
                    self._hand(device, methodcaller("readings", facts, readings))
        if found:
            # only now: what could not be published is looked at again
            self._leaf = found[-1][0] + 1
        return len(found) == bounds.FOLLOWED_LEAVES

    def _readings(self, views: Views, chain: Chain, records: list[Record]) -> Iterable[Reading]:
        for one in records:
            # stops a cloned key from showing its values in anybody's house
            if not isinstance(one.body, Readings) or chain.fork_of(one) is not None:
                continue
            opened = views.open_of(chain.device, one.body.boot)
            if opened is None or len(opened.channels) != len(one.body.columns):
                continue
            for index, at in enumerate(one.body.times(one.time, opened.tick_ms)):
                for channel, column in zip(opened.channels, one.body.columns, strict=True):
                    value = column[index]
                    if value is not None:
                        yield Reading(
                            channel.name,
                            channel.unit,
                            senml.scaled(value, channel.exponent),
                            at if one.clock_set else None,
                            one.seq,
                            one.id.hex(),
                        )

    def _stand(self, views: Views) -> None:
        """Say of each device what changed, and take back who is gone."""
        devices = self._devices()
        anchored = views.anchored_size()
        for row in list(views.devices()):
            device, enrolled = row.device, devices.get(row.device)
            said = self._said.get(device)
            seen = (row.state, row.last_seen, enrolled)
            # most devices have not moved since the last look, and wait for no anchor
            if (
                enrolled is None
                or row.state is None
                or (
                    said is not None
                    and said.seen == seen
                    and (said.anchored == anchored or not said.device.pending)
                )
            ):
                continue
            try:
                with views.snapshot():
                    chain = views.chain(device)
                    facts = None if chain is None else self._facts(views, device, enrolled, chain)
            except TallystickError as error:
                self._damaged(device, error)
                continue
            if facts is not None:
                if said is None or said.device != facts:
                    self._hand(device, methodcaller("device", facts))
                self._said[device] = _Said(seen, anchored, facts)
        for device in [one for one in self._said if one not in devices]:
            self._hand(device, methodcaller("removed", device.hex()))
            del self._said[device]

    def _facts(self, views: Views, device: bytes, enrolled: EnrolledDevice, chain: Chain) -> Device:
        row = views.device(device)
        anchored = views.anchored_size()
        newest = views.newest_confirmed()
        opened = views.newest_open(device, chain)
        view = views.standing(row, anchored) if row else None
        head = chain.top
        if view is not None and view.forked_from is not None:
            head = min(head, view.forked_from - 1)
        below = None if view is None else view.anchored
        return Device(
            id=device.hex(),
            did=enrolled.did,
            name=enrolled.name,
            agent=opened.version if opened else None,
            channels=opened.channels if opened else (),
            integrity=view.state if view else "ok",
            head=head,
            missing=sum(map(len, chain.missing)),
            anchored=below,
            pending=max(0, head - (-1 if below is None else below)),
            last_seen=(row.last_seen if row else None) or 0,
            last_anchor=newest.milestone_time if newest else None,
        )

    def _damaged(self, device: bytes, error: TallystickError) -> None:
        """The disk has changed a record: its device is passed over, and it is said once."""
        if (device.hex(), error.code) not in self._complained:
            self._complained.add((device.hex(), error.code))
            log.error("a stored record is damaged", device=device.hex(), reason=str(error))

    def _hand(self, device: bytes, ask: Callable[[Adapter], Iterable[Publication]]) -> None:
        """Let every adapter speak, and publish what it says."""
        for name, adapter in self._adapters.items():
            try:
                said = list(ask(adapter))
            # a stranger's code may raise what it likes: the others go on
            except Exception:
                log.exception("an adapter stumbled", adapter=name, device=device.hex())
                continue
            for one in said:
                if not self._allowed(name, device, one):
                    continue
                if not self._broker.publish(one.topic, one.payload, retain=one.retain):
                    raise _Away

    def _allowed(self, name: str, device: bytes, one: Publication) -> bool:
        """Stops an adapter from speaking as a board, a ledger or this gateway."""
        own = topics.Device(device).standing
        foreign = one.topic.startswith(f"{topics.ROOT}/") and not (
            one.topic == own or one.topic.startswith(f"{own}/")
        )
        good = (
            not foreign
            and 0 < len(one.topic) <= bounds.TOPIC_CHARACTERS
            and not set("+#\0") & set(one.topic)
            and not one.topic.startswith("$")
            and len(one.payload) <= bounds.PUBLICATION_BYTES
        )
        if not good and (name, one.topic[:64]) not in self._complained:
            self._complained.add((name, one.topic[:64]))
            log.error("an adapter may not publish that", adapter=name, topic=one.topic[:128])
        return good
