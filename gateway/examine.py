"""A message by itself, outside of any transaction: length, form, topic, enrolment, signature.

A copy of bytes that stand in the log already is known by them: its signature was checked when they
came first, so a flood of replays costs a look into the database each, and counts against nobody.

The topic's device must be the one whose key signed: a broker's login is never evidence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import structlog

from tallystick import limits, record, topics
from tallystick.chain import Chain
from tallystick.errors import FormatError, KeyUnknownError, LimitError, TallystickError
from tallystick.keys import PublicKey
from tallystick.record import Record
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.store import DeviceLinks, Store
from tallystick_gateway.verifiers import Verifiers

__all__ = ["Chains", "Examined", "Examiner", "Message"]

log = structlog.get_logger()

_parse_device: Final = lru_cache(16_384)(topics.parse_device)


class Message(NamedTuple):
    """A message on a device's `up` topic. `payload` is its start only, if `length` is above the
    limit for records.
    """

    topic: str
    payload: bytes
    length: int
    at: int  # Unix seconds of arrival


@dataclass
class Examined:
    """A message after its own checks. `error` refuses it; `verified` says that its signature was
    checked; `copy` that these very bytes are in the log.
    """

    message: Message
    device: bytes | None = None  # enrolled device of the topic
    record: Record | None = None
    key: PublicKey | None = None  # that the signature is to be checked with
    verified: bool = False
    copy: bool = False
    error: TallystickError | None = None

    def verify(self) -> None:
        """Check the signature; raises nothing."""
        if self.record is None or self.key is None:
            return
        try:
            self.record.signed.verify(self.key)
            self.verified = True
        except TallystickError as error:
            self.error = error


class Chains:
    """The chains of all devices that have spoken since the start, as they are in the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chains: dict[bytes, Chain] = {}
        self._links: dict[bytes, DeviceLinks] = {}
        self._same: dict[bytes, EnrolledDevice] = {}  # whose enrolled key is that of the chain

    def of(self, device: EnrolledDevice) -> Chain:
        """The chain of a device."""
        chain = self._chains.get(device.id)
        if chain is None:
            links = DeviceLinks(self._store, device.id)
            row = self._store.device(device.id)
            state = row.state if row else None
            chain = Chain(device.key, links) if state is None else Chain.load(state, links)
            links.top = chain.top
            self._chains[device.id], self._links[device.id] = chain, links
        return chain

    def is_of(self, device: EnrolledDevice) -> bool:
        """Did the chain start with the key that is enrolled?"""
        if self._same.get(device.id) is not device:
            if self.of(device).periods[0].key != device.key:
                return False
            self._same[device.id] = device
        return True

    def stored(self, device: bytes) -> None:
        """What the chain's links hold is in the database now."""
        self._links[device].fresh.clear()

    def state(self, device: bytes) -> bytes:
        """The chain's state, to be kept."""
        return self._chains[device].dump()

    def forget(self) -> None:
        """The transaction failed: read everything again."""
        self._chains.clear()
        self._links.clear()
        self._same.clear()


class Examiner:
    """The checks of single messages. `devices` are the enrolled ones."""

    def __init__(self, store: Store, chains: Chains) -> None:
        self._store = store
        self._chains = chains
        self._verifiers = Verifiers()
        self.devices: Mapping[bytes, EnrolledDevice] = {}

    def examine(self, messages: Sequence[Message]) -> list[Examined]:
        """Each message's own checks; never raises for what a message holds."""
        examined = [self._one(message) for message in messages]
        self._verifiers.run([one.verify for one in examined if one.key is not None])
        return examined

    def close(self) -> None:
        """End the threads that verify."""
        self._verifiers.close()

    def _one(self, message: Message) -> Examined:
        examined = Examined(message)
        try:
            self._examine(examined)
        except TallystickError as error:
            examined.error = error
        except sqlite3.Error:
            raise
        except Exception as error:
            # stops one message that our own code stumbles over from ending the service
            log.exception("a message could not be examined", topic=message.topic)
            detail = f"the gateway stumbled: {type(error).__name__}"
            examined.error = FormatError("gateway.internal", detail)
        return examined

    def _examine(self, examined: Examined) -> None:
        message = examined.message
        device, name = _parse_device(message.topic)
        enrolled = self.devices.get(device)
        examined.device = device if enrolled is not None else None
        if message.length > limits.RECORD_BYTES:
            raise LimitError(
                "cbor.too-long", f"{message.length} bytes, the limit is {limits.RECORD_BYTES}"
            )
        parsed = record.parse(message.payload)
        examined.record = parsed
        if name != "up":
            raise FormatError("topic.device", f"records come on `up`, not on {name!r}")
        if enrolled is None:
            self._refuse_owner_elsewhere(parsed, device)
            raise KeyUnknownError("device.not-enrolled", f"device {device.hex()} is not enrolled")
        chain = self._chains.of(enrolled)
        if not self._chains.is_of(enrolled):
            raise KeyUnknownError("device.key", "another key with this id was enrolled before")
        if parsed.seq <= chain.top and self._store.raw_at(device, parsed.seq) == parsed.raw:
            examined.copy = True
            return
        try:
            examined.key = chain.key_of(parsed)
        except KeyUnknownError:
            # a rotation earlier in the same batch may bring the key: the transaction decides
            self._refuse_owner_elsewhere(parsed, device)

    def _refuse_owner_elsewhere(self, parsed: Record, device: bytes) -> None:
        """Stops a record of one device from being shown under another device's topic."""
        kid = parsed.signed.kid
        owner = kid if kid in self.devices else self._store.device_of_key(kid)
        if owner is not None and owner != device:
            raise KeyUnknownError(
                "topic.device",
                f"key {kid.hex()} is that of device {owner.hex()}, the topic says {device.hex()}",
            )
