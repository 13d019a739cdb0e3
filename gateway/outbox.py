"""What the gateway says of devices and of itself, each at its own pace.

An acknowledgement goes out when its device's turn comes (see `acks`), with the newest readings that came
since the one before; `rejected` at most once a second for a device; the state when it changes, and now and
then. What the broker does not take is said again later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import structlog

from tallystick import topics
from tallystick.body import Readings
from tallystick.chain import Chain
from tallystick.errors import TallystickError
from tallystick.message import Grant
from tallystick.record import Record
from tallystick_gateway import bounds, verified
from tallystick_gateway.acks import Acks
from tallystick_gateway.folder import Identity
from tallystick_gateway.mqtt import Broker
from tallystick_gateway.refusals import Refusal
from tallystick_gateway.store import Store

__all__ = ["Outbox"]

log = structlog.get_logger()


class Outbox:
    """The words of one gateway. `clock` arguments are of a monotonic clock, in seconds."""

    def __init__(self, broker: Broker, store: Store, acks: Acks, own: topics.Gateway) -> None:
        self._broker, self._store, self._acks, self._own = broker, store, acks, own
        self._opens = verified.Opens(store)
        self._next_rejected: dict[bytes, float] = {}
        self._newest: dict[bytes, Record] = {}  # readings that are to be shown
        self._last_state = b""
        self._next_state = 0.0

    def connected(self) -> None:
        """The broker may have lost everything that it retained."""
        self._last_state = b""

    def grant(self, grant: Grant | None, identity: Identity) -> None:
        """The owner's word that we are the gateway, if it is about us."""
        if grant is None:
            return
        if grant.key != identity.key.public:
            log.error("the grant is another gateway's", origin=grant.origin, hint="tally grant")
            return
        self._broker.publish(self._own.grant, grant.signed.raw, retain=True)

    def refused(self, refusals: Iterable[Refusal], clock: float) -> None:
        """Tell devices what was refused, or announced, of theirs."""
        for refusal in refusals:
            if clock >= self._next_rejected.get(refusal.device, 0.0):
                self._next_rejected[refusal.device] = clock + bounds.REJECTED_INTERVAL_S
                said = {"code": refusal.code, "detail": refusal.detail, "seq": refusal.seq}
                self._broker.publish(
                    topics.Device(refusal.device).rejected, json.dumps(said).encode()
                )

    def admitted(self, records: Iterable[tuple[bytes, Record]]) -> None:
        """Remember the newest readings of each device."""
        for device, parsed in records:
            before = self._newest.get(device)
            if isinstance(parsed.body, Readings) and (before is None or parsed.seq > before.seq):
                self._newest[device] = parsed

    def device(self, chain: Chain, now: int) -> None:
        """The acknowledgement, then the newest readings."""
        try:
            signed = self._acks.sign(chain, now)
        except TallystickError as error:
            # one damaged record is its own device's trouble
            log.error("nothing to acknowledge", device=chain.device.hex(), reason=str(error))
            return
        if not self._broker.publish(topics.Device(chain.device).ack, signed, retain=True):
            self._acks.owe(chain.device)
            return
        newest = self._newest.pop(chain.device, None)
        if newest is not None:
            for topic, shown in verified.newest(chain, newest, self._store, self._opens):
                self._broker.publish(topic, shown, retain=True)

    def state(self, status: Mapping[str, object], clock: float) -> None:
        """The gateway's own state."""
        shown = json.dumps({"state": status["state"], "reason": status["reason"]}).encode()
        if shown == self._last_state and clock < self._next_state:
            return
        self._last_state, self._next_state = shown, clock + bounds.STATE_INTERVAL_S
        self._broker.publish(self._own.state, json.dumps(status).encode(), retain=True)
