"""One message in, one outcome out (docs/format.md, section 5): admitted, duplicate, fork, disowned,
or refused.

1. `examine` looks at messages by themselves, outside of any transaction (see `examine`).
2. `commit` takes a batch through the chain rules in one transaction and returns when it is durable.
   Forks and disowned records become leaves of the log like all others, and evidence; refused
   messages go to quarantine with their reason.
3. A failed transaction leaves nothing behind: the chains in memory are dropped with it.
4. New and verified records count against their device's share (see `quota`), refused ones against
   one budget for all (see `refusals`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from tallystick.body import Beacon, CheckpointRef, Open, Rotate
from tallystick.chain import Chain, Finding, Result
from tallystick.errors import FormatError, LimitError, LinkError, TallystickError
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.examine import Chains, Examined, Examiner, Message
from tallystick_gateway.quota import OVER_SHARE, Quota, Shares
from tallystick_gateway.refusals import Refusal, Refusals
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.store import Store

__all__ = ["Batch", "Examined", "Intake", "Message"]

log = structlog.get_logger()


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
    """The rules at the door."""

    def __init__(self, store: Store, gateway: bytes, shares: Shares | None = None) -> None:
        self._store = store
        self._gateway = gateway
        self._chains = Chains(store)
        self._examiner = Examiner(store, self._chains)
        self._quota = Quota(shares or Shares())
        self._refusals = Refusals(store)

    @property
    def devices(self) -> Mapping[bytes, EnrolledDevice]:
        """The enrolled devices."""
        return self._examiner.devices

    @devices.setter
    def devices(self, devices: Mapping[bytes, EnrolledDevice]) -> None:
        self._examiner.devices = devices

    def examine(self, messages: Sequence[Message]) -> list[Examined]:
        """Each message's own checks, outside of any transaction."""
        return self._examiner.examine(messages)

    def chain(self, device: EnrolledDevice) -> Chain:
        """The chain of a device as it is in the database."""
        return self._chains.of(device)

    def close(self) -> None:
        """End the threads that verify."""
        self._examiner.close()

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
        clock = time.monotonic()
        dirty: dict[bytes, None] = {}
        try:
            with self._store.transaction():
                size = self._store.size()
                for examined in batch:
                    device = self._take(examined, size + len(out.leaves), now, clock, out)
                    if device is not None:
                        dirty[device] = None
                self._store.put_devices(self._row(device, now) for device in dirty)
                for name, by in self._refusals.finish().items():
                    out.results[name] = out.results.get(name, 0) + by
                for name, by in out.results.items():
                    self._store.count(name, by)
        except BaseException:
            self._chains.forget()
            self._refusals.forget()
            raise
        return out

    def _take(
        self, examined: Examined, leaf: int, now: int, clock: float, out: Batch
    ) -> bytes | None:
        """The device whose state changed or was seen, None for a refused message."""
        parsed, device = examined.record, examined.device
        if examined.error is None and parsed is not None and device is not None:
            try:
                finding = self._admit(examined, parsed, device, clock)
            except TallystickError as error:
                examined.error = error
            else:
                self._enter(parsed, device, finding, leaf, now, out)
                return device
        self._refuse(examined, clock, out)
        return None

    def _admit(self, examined: Examined, parsed: Record, device: bytes, clock: float) -> Finding:
        if examined.copy:
            return Finding(Result.DUPLICATE, "these bytes are in the log")
        chain = self.chain(self.devices[device])
        if not examined.verified:
            parsed.signed.verify(chain.key_of(parsed))
        held = chain.links.get(parsed.seq)
        if held is not None and held.id == parsed.id:
            return Finding(Result.DUPLICATE, "already there", held.id)
        if chain.forks or chain.disowned:
            known = self._store.evidence_result(parsed.id)
            if known is not None:
                return Finding(Result.DUPLICATE, f"already there as {known}")
        self._quota.check(chain, parsed, clock)
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
            self._chains.stored(device)
            out.admitted.append((device, parsed))
            if isinstance(parsed.body, Rotate):
                self._store.add_key(parsed.body.key.kid, device)
            if isinstance(parsed.body, Beacon) and parsed.body.nonce is not None:
                out.nonces.append((device, parsed.body.nonce))
        else:
            self._store.add_evidence(
                leaf, device, parsed, finding.result, finding.other, finding.detail, now
            )
            log.warning(
                finding.result.value, device=device.hex(), seq=parsed.seq, detail=finding.detail
            )
            # announced where people look, though it is kept and not refused
            code = f"chain.{finding.result.value}"
            out.refusals.append(Refusal(device, code, finding.detail, parsed.seq))
        ref = parsed.body.checkpoint if isinstance(parsed.body, Open | Beacon) else None
        if ref is not None and ref.gateway == self._gateway:
            out.shown.append((f"record {parsed.seq} of device {device.hex()}", ref))

    def _row(self, device: bytes, now: int) -> DeviceRow:
        state = self._chains.state(device)
        return DeviceRow(device, self.devices[device].did, state, now)

    def _refuse(self, examined: Examined, clock: float, out: Batch) -> None:
        error = examined.error or LinkError("gateway.internal", "no reason was found")
        seq = examined.record.seq if examined.record is not None else None
        detail = error.detail[: bounds.DETAIL_CHARACTERS]
        if error.code in OVER_SHARE:
            # the board sends it again; it is no evidence of anything
            out.count("limited")
        else:
            out.count("rejected")
            self._refusals.keep(examined, error.code, detail, clock)
        if examined.device is not None:
            out.refusals.append(Refusal(examined.device, error.code, detail, seq))


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
