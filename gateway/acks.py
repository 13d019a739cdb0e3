"""Acknowledgements: what is durable here, told to the boards (docs/format.md, section 6).

At most one a second for a device, at once if none went out in the last second, and never before the
records are committed. The nonces of the newest ones are kept: a beacon that echoes one shows that
its board holds its key now.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field

import structlog

from tallystick import message
from tallystick.body import MilestoneRef
from tallystick.chain import Chain
from tallystick_gateway import bounds
from tallystick_gateway.checkpoints import Checkpoints
from tallystick_gateway.folder import Identity
from tallystick_gateway.store import Store

__all__ = ["Acks", "Session"]

log = structlog.get_logger()

NONCE_BYTES = 16


@dataclass
class Session:
    """What this run knows of a device: the nonces it was sent, and when one came back (Unix
    seconds).
    """

    nonces: deque[bytes] = field(default_factory=lambda: deque(maxlen=bounds.NONCES))
    fresh_at: int | None = None


class Acks:
    """Who is owed an acknowledgement, and its bytes. Times are of a monotonic clock, in seconds."""

    def __init__(self, identity: Identity, store: Store, checkpoints: Checkpoints) -> None:
        self._identity = identity
        self._store = store
        self._checkpoints = checkpoints
        self._owed: dict[bytes, None] = {}
        self._sent: dict[bytes, float] = {}
        self.milestone: MilestoneRef | None = None
        self.sessions: dict[bytes, Session] = {}

    def owe(self, device: bytes) -> None:
        """The device is to hear from us."""
        self._owed[device] = None

    def due(self, clock: float) -> list[bytes]:
        """The devices whose turn it is, so many at once that records need not wait for the greeting
        of thousands; they are owed nothing any more.
        """
        ready = [d for d in self._owed if clock >= self._next(d)][: bounds.ACKS_AT_ONCE]
        for device in ready:
            del self._owed[device]
            self._sent[device] = clock
        return ready

    def wait(self, clock: float) -> float | None:
        """Seconds until somebody's turn comes, None if nobody is owed anything."""
        return max(0.0, min(map(self._next, self._owed)) - clock) if self._owed else None

    def _next(self, device: bytes) -> float:
        return self._sent.get(device, float("-inf")) + bounds.ACK_INTERVAL_S

    def sign(self, chain: Chain, now: int) -> bytes:
        """The acknowledgement for a chain as it stands in the database."""
        upto = chain.upto
        link = None if upto is None else chain.links.get(upto)
        nonce = os.urandom(NONCE_BYTES)
        self.sessions.setdefault(chain.device, Session()).nonces.append(nonce)
        return message.sign_acknowledgement(
            self._identity.key,
            device=chain.device,
            upto=None if link is None else upto,
            id=None if link is None else link.id,
            missing=chain.missing,
            time=now,
            size=self._checkpoints.size,
            root=self._checkpoints.root,
            milestone=self.milestone,
            nonce=nonce,
        )

    def echoed(self, device: bytes, nonce: bytes, now: int) -> None:
        """A verified beacon of the device brings back a nonce."""
        session = self.sessions.setdefault(device, Session())
        session.fresh_at = now if nonce in session.nonces else None
        if session.fresh_at is None:
            # an acknowledgement of an earlier run, or one that somebody recorded and played back
            log.info("not fresh", code="session.stale", device=device.hex())
