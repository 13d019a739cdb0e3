"""One message in, one outcome out (docs/format.md, section 5): admitted, duplicate, fork, disowned,
or refused.

1. `examine` looks at a message by itself, outside of any transaction: length, form, topic,
   enrolment, signature.
2. `commit` takes a batch through the chain rules in one transaction and returns when it is durable.
   Forks and disowned records become leaves of the log like all others, and evidence; refused
   messages go to quarantine with their reason.
3. A failed transaction leaves nothing behind: the chains in memory are dropped with it.

The topic's device must be the one whose key signed: a broker's login is never evidence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from tallystick import limits, record, topics
from tallystick.body import Beacon, CheckpointRef, Open, Rotate
from tallystick.chain import Chain, Finding, Result
from tallystick.errors import (
    FormatError,
    KeyUnknownError,
    LimitError,
    LinkError,
    TallystickError,
)
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.rows import DeviceRow, Rejected
from tallystick_gateway.store import DeviceLinks, Store

__all__ = ["Batch", "Examined", "Intake", "Message"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Message:
    """A message on a device's `up` topic. `payload` is its start only, if `length` is above the
    limit for records.
    """

    topic: str
    payload: bytes
    length: int
    at: int  # Unix seconds of arrival


@dataclass(frozen=True)
class Refusal:
    """A message that was refused, for the topic `rejected`; `device` is an enrolled one."""

    device: bytes
    code: str
    detail: str
    seq: int | None


@dataclass
class Examined:
    """A message after its own checks. `error` refuses it; `verified` says that its signature was
    checked.
    """

    message: Message
    device: bytes | None = None  # enrolled device of the topic
    record: Record | None = None
    verified: bool = False
    error: TallystickError | None = None


@dataclass
class Batch:
    """What a transaction brought."""

    leaves: list[bytes] = field(default_factory=list)
    touched: dict[bytes, None] = field(
        default_factory=dict
    )  # devices that are owed an acknowledgement
    admitted: list[tuple[bytes, Record]] = field(default_factory=list)
    shown: list[tuple[str, CheckpointRef]] = field(default_factory=list)
    nonces: list[tuple[bytes, bytes]] = field(default_factory=list)  # that beacons echoed
    refusals: list[Refusal] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """One more message with this outcome."""
        self.results[name] = self.results.get(name, 0) + 1


class Intake:
    """The rules at the door, and the chains of all devices that have spoken since the start."""

    def __init__(self, store: Store, gateway: bytes) -> None:
        self._store = store
        self._gateway = gateway
        self.devices: Mapping[bytes, EnrolledDevice] = {}
        self._chains: dict[bytes, Chain] = {}
        self._links: dict[bytes, DeviceLinks] = {}
        self._load: tuple[int, int] | None = None  # quarantine rows and bytes

    # ---- outside of the transaction

    def examine(self, message: Message) -> Examined:
        """The message's own checks; never raises for what a message holds."""
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
            examined.error = _internal(error)
        return examined

    def _examine(self, examined: Examined) -> None:
        message = examined.message
        device, name = topics.parse_device(message.topic)
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
        chain = self.chain(enrolled)
        if chain.periods[0].key != enrolled.key:
            raise KeyUnknownError("device.key", "another key with this id was enrolled before")
        try:
            key = chain.key_of(parsed)
        except KeyUnknownError:
            self._refuse_owner_elsewhere(parsed, device)
            return  # a rotation earlier in the same batch may bring the key: `commit` decides
        parsed.signed.verify(key)
        examined.verified = True

    def _refuse_owner_elsewhere(self, parsed: Record, device: bytes) -> None:
        """Stops a record of one device from being shown under another device's topic."""
        kid = parsed.signed.kid
        owner = kid if kid in self.devices else self._store.device_of_key(kid)
        if owner is not None and owner != device:
            raise KeyUnknownError(
                "topic.device",
                f"key {kid.hex()} is that of device {owner.hex()}, the topic says {device.hex()}",
            )

    def chain(self, device: EnrolledDevice) -> Chain:
        """The chain of a device as it is in the database."""
        chain = self._chains.get(device.id)
        if chain is None:
            links = DeviceLinks(self._store, device.id)
            row = self._store.device(device.id)
            state = row.state if row else None
            chain = Chain(device.key, links) if state is None else Chain.load(state, links)
            self._chains[device.id], self._links[device.id] = chain, links
        return chain

    # ---- the transaction

    def commit(self, batch: Sequence[Examined], now: int) -> Batch:
        """Take the batch in; when it returns, all of it is durable. `sqlite3.Error`: nothing of it
        is.
        """
        try:
            return self._commit(batch, now)
        except sqlite3.Error:
            raise
        except Exception:
            if len(batch) == 1:
                log.exception("a record could not be taken in", topic=batch[0].message.topic)
                return self._commit([_poison(batch[0])], now)
            # one by one, so that the message that our own code stumbles over is the only one to go
            log.exception("a batch could not be taken in")
        whole = Batch()
        for examined in batch:
            _join(whole, self.commit([examined], now))
        return whole

    def _commit(self, batch: Sequence[Examined], now: int) -> Batch:
        out = Batch()
        dirty: dict[bytes, None] = {}
        try:
            with self._store.transaction():
                size = self._store.size()
                for examined in batch:
                    device = self._take(examined, size + len(out.leaves), now, out)
                    if device is not None:
                        dirty[device] = None
                for device in dirty:
                    self._keep(device, now)
                self._evict()
                for name, by in out.results.items():
                    self._store.count(name, by)
        except BaseException:
            self._chains.clear()
            self._links.clear()
            self._load = None
            raise
        return out

    def _take(self, examined: Examined, leaf: int, now: int, out: Batch) -> bytes | None:
        """The device whose state changed or was seen, None for a refused message."""
        parsed, device = examined.record, examined.device
        if examined.error is None and parsed is not None and device is not None:
            try:
                finding = self._admit(examined, parsed, device)
            except TallystickError as error:
                examined.error = error
            else:
                self._enter(parsed, device, finding, leaf, now, out)
                return device
        self._refuse(examined, out)
        return None

    def _admit(self, examined: Examined, parsed: Record, device: bytes) -> Finding:
        chain = self.chain(self.devices[device])
        if not examined.verified:
            parsed.signed.verify(chain.key_of(parsed))
        known = self._store.leaf_result(parsed.id)
        if known is not None and known != Result.ADMITTED:
            return Finding(Result.DUPLICATE, f"already there as {known}")
        forks, disowned = list(chain.forks), set(chain.disowned)
        finding = chain.admit(parsed, verified=True)
        evidence = finding.result in (Result.FORK, Result.DISOWNED)
        if evidence and self._store.evidence_count(device) >= bounds.EVIDENCE_RECORDS:
            # stops the holder of a stolen key from filling the log: the fork itself is proven long
            # since
            chain.forks, chain.disowned = forks, disowned
            raise LimitError(
                "chain.evidence", f"{bounds.EVIDENCE_RECORDS} records of this device are evidence"
            )
        return finding

    def _enter(
        self, parsed: Record, device: bytes, finding: Finding, leaf: int, now: int, out: Batch
    ) -> None:
        out.touched[device] = None
        out.count(finding.result.value)
        if finding.result is Result.DUPLICATE:
            return
        self._store.add_leaf(leaf, device, parsed, finding.result)
        out.leaves.append(parsed.raw)
        if finding.result is Result.ADMITTED:
            self._store.add_record(leaf, device, parsed)
            self._links[device].fresh.clear()
            out.admitted.append((device, parsed))
            if isinstance(parsed.body, Rotate):
                self._store.add_key(parsed.body.key.kid, device)
            if isinstance(parsed.body, Beacon) and parsed.body.nonce is not None:
                out.nonces.append((device, parsed.body.nonce))
        else:
            self._store.add_evidence(
                leaf, device, parsed.seq, finding.result, finding.other, finding.detail, now
            )
            log.warning(
                finding.result.value, device=device.hex(), seq=parsed.seq, detail=finding.detail
            )
        ref = parsed.body.checkpoint if isinstance(parsed.body, Open | Beacon) else None
        if ref is not None and ref.gateway == self._gateway:
            out.shown.append((f"record {parsed.seq} of device {device.hex()}", ref))

    def _keep(self, device: bytes, now: int) -> None:
        enrolled = self.devices[device]
        state = self._chains[device].dump()
        self._store.put_device(DeviceRow(device, enrolled.did, state, now))

    # ---- what is refused

    def _refuse(self, examined: Examined, out: Batch) -> None:
        message = examined.message
        error = examined.error or LinkError("gateway.internal", "no reason was found")
        seq = examined.record.seq if examined.record is not None else None
        detail = error.detail[: bounds.DETAIL_CHARACTERS]
        raw = message.payload
        if message.length > limits.RECORD_BYTES:
            raw = raw[: bounds.QUARANTINE_PREFIX]
        self._store.quarantine(
            Rejected(
                message.at,
                message.topic[: bounds.TOPIC_CHARACTERS],
                examined.device,
                seq,
                error.code,
                detail,
                message.length,
                raw,
            )
        )
        rows, held = self._load or self._measured(len(raw))
        self._load = (rows + 1, held + len(raw))
        out.count("rejected")
        if examined.device is not None:
            out.refusals.append(Refusal(examined.device, error.code, detail, seq))

    def _measured(self, newest: int) -> tuple[int, int]:
        """The load before the newest row."""
        rows, held = self._store.quarantine_load()
        return rows - 1, held - newest

    def _evict(self) -> None:
        """One budget for all that nobody vouches for: the oldest goes, and is counted."""
        if self._load is None:
            return
        rows, held = self._load
        evicted = 0
        while rows > bounds.QUARANTINE_ROWS or held > bounds.QUARANTINE_BYTES:
            held -= self._store.evict_oldest()
            rows -= 1
            evicted += 1
        self._load = (rows, held)
        if evicted:
            self._store.count("evicted", evicted)


def _internal(error: Exception) -> TallystickError:
    return FormatError("gateway.internal", f"the gateway stumbled: {type(error).__name__}")


def _poison(examined: Examined) -> Examined:
    """The same message, refused."""
    error = FormatError("gateway.internal", "the gateway stumbled over this record")
    return Examined(examined.message, examined.device, examined.record, error=error)


def _join(whole: Batch, part: Batch) -> None:
    whole.leaves += part.leaves
    whole.touched |= part.touched
    whole.admitted += part.admitted
    whole.shown += part.shown
    whole.nonces += part.nonces
    whole.refusals += part.refusals
    for name, by in part.results.items():
        whole.results[name] = whole.results.get(name, 0) + by
