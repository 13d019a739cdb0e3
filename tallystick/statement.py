"""Signed statements about a device, and the rules which of them take effect (docs/format.md,
section 9).

The ledger orders statements and does not judge them. `History` does: statements in, in the order
of their positions, and the status, the owner and what had no effect come out. Who may say what:

* issuer: registered, suspended, resumed, replaced, and stolen, recovered, retired beside the owner
* owner: transferred, stolen, recovered, retired
* new owner: accepted, right after transferred and within 30 days of ledger time
* inspector: inspected, under a credential of the issuer for that role

A statement names the last one that took effect, so that none can be replayed, dropped or moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

from tallystick import cbor, cose, credential, did, limits
from tallystick.cose import Signed, Signer, Typ
from tallystick.credential import INSPECTOR
from tallystick.errors import FormatError, TallystickError
from tallystick.fields import is_int, octets, optional_octets, text
from tallystick.keys import PublicKey
from tallystick.value import Value

__all__ = ["Effect", "History", "Statement", "StatementKind", "Status", "parse", "sign"]


class StatementKind(IntEnum):
    """What a statement says."""

    REGISTERED = 0
    SUSPENDED = 1
    RESUMED = 2
    TRANSFERRED = 3
    ACCEPTED = 4
    STOLEN = 5
    RECOVERED = 6
    RETIRED = 7
    INSPECTED = 8
    REPLACED = 9


class Status(StrEnum):
    """The standing of a device."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    STOLEN = "stolen"
    RETIRED = "retired"


_ARGS = {
    StatementKind.REGISTERED: 1,
    StatementKind.SUSPENDED: 1,
    StatementKind.TRANSFERRED: 1,
    StatementKind.INSPECTED: 2,
    StatementKind.REPLACED: 1,
}
_NAMES_DID = (StatementKind.REGISTERED, StatementKind.TRANSFERRED, StatementKind.REPLACED)
_OWNER_MAY = (
    StatementKind.TRANSFERRED,
    StatementKind.STOLEN,
    StatementKind.RECOVERED,
    StatementKind.RETIRED,
)


class Statement(Value):
    """A statement as it came, not verified. `device` is a did:key."""

    signed: Signed
    device: str
    ledger: bytes
    previous: bytes | None
    kind: StatementKind
    args: tuple[bytes, ...]

    @property
    def id(self) -> bytes:
        """SHA-256 of what was signed."""
        return self.signed.id


def parse(raw: bytes) -> Statement:
    """`raw` as a statement; `FormatError` or `LimitError` (`statement.*`) otherwise. No signature
    is checked.
    """
    signed = cose.parse(raw, Typ.STATEMENT, limit=limits.STATEMENT_BYTES)
    fields = cbor.decode(signed.payload)
    if not isinstance(fields, list) or len(fields) < 4:
        raise FormatError("statement.shape", "a statement is [device, ledger, previous, kind, ...]")
    device, ledger, previous, number, *args = fields
    if not isinstance(device, str):
        raise FormatError("statement.device", "the device is not a DID")
    did.public_key(device)
    if not is_int(number) or number not in set(StatementKind):
        raise FormatError("statement.kind", f"statement kind {number!r} is not known")
    kind = StatementKind(number)
    held = tuple(arg for arg in args if isinstance(arg, bytes))
    if len(held) != len(args) or len(args) != _ARGS.get(kind, 0):
        raise FormatError("statement.args", f"{kind.name.lower()} with other arguments")
    if kind in _NAMES_DID:
        did.public_key(text(held[0], "DID", limits.DID_BYTES))
    elif held:
        text(held[0], "text", limits.REASON_BYTES)
    return Statement(
        signed,
        device,
        octets(ledger, "ledger id", 8),
        optional_octets(previous, "previous", 32),
        kind,
        held,
    )


def sign(
    signer: Signer,
    device: str,
    ledger: bytes,
    previous: bytes | None,
    kind: StatementKind,
    args: Sequence[bytes] = (),
) -> bytes:
    """The bytes of a statement about the device with this did:key."""
    return cose.sign(
        signer, Typ.STATEMENT, cbor.encode([device, ledger, previous, kind.value, *args])
    )


class Effect(Value):
    """What a statement did: `took` is False if it changed nothing, and `detail` says why."""

    statement: Statement
    position: int
    time: int
    took: bool
    detail: str


class History:
    """One device's standing, from its statements in the order of the ledger.

    `issuers` are the keys that may speak as issuer. `apply` never raises for a bad statement: it
    has no effect and says so.
    """

    def __init__(self, device: str, ledger: bytes, issuers: Sequence[PublicKey]) -> None:
        self.device = device
        self.ledger = ledger
        self.issuers = tuple(issuers)
        self.status = Status.UNKNOWN
        self.owner: str | None = None
        self.last: Statement | None = None
        self.effects: list[Effect] = []
        self._before_theft = Status.ACTIVE
        self._last_time = 0

    def apply(self, statement: Statement, position: int, time: int) -> Effect:
        """Take in the next statement: its position in the ledger and the time of its milestone
        (Unix seconds).
        """
        reason = self._objection(statement, time)
        effect = Effect(statement, position, time, not reason, reason or "took effect")
        self.effects.append(effect)
        if effect.took:
            self._take(statement, time)
        return effect

    def objection(self, statement: Statement, time: int) -> str:
        """Why `statement` would have no effect as the next one, at `time` (Unix seconds by the ledger's clock); empty
        if it would have. Nothing is taken in.
        """
        return self._objection(statement, time)

    @property
    def offered_to(self) -> str | None:
        """The DID that the device was transferred to and that has not accepted yet."""
        last = self.last
        if last is None or last.kind is not StatementKind.TRANSFERRED:
            return None
        return last.args[0].decode()

    def misses(self, statement: Statement) -> bool:
        """Does one who may speak of this device name a previous statement that was never applied?"""
        speakers = [*self.issuers, *([did.public_key(self.owner)] if self.owner else [])]
        known = {effect.statement.id for effect in self.effects}
        return (
            (statement.device, statement.ledger) == (self.device, self.ledger)
            and statement.previous is not None
            and statement.previous not in known
            and _signed_by(statement.signed, speakers)
        )

    def _objection(self, statement: Statement, time: int) -> str:
        """Why the statement has no effect; empty if it has."""
        if (statement.device, statement.ledger) != (self.device, self.ledger):
            return "about another device or for another ledger"
        if self.status is Status.RETIRED:
            return "the device is retired"
        expected = self.last.id if self.last else None
        if statement.previous != expected:
            # stops replays, and a second statement at the place of the first
            return "does not follow the last statement that took effect"
        if (statement.kind is StatementKind.REGISTERED) != (self.last is None):
            return "the first statement, and only that, registers"
        if not self._may_say(statement, time):
            return "its signer has no right to say this"
        if statement.kind is StatementKind.RESUMED and self.status is not Status.SUSPENDED:
            return "the device is not suspended"
        if statement.kind is StatementKind.RECOVERED and self.status is not Status.STOLEN:
            return "the device is not stolen"
        if (
            statement.kind is StatementKind.ACCEPTED
            and time - self._last_time > limits.ACCEPT_WITHIN_S
        ):
            return "accepted after more than 30 days"
        return ""

    def _may_say(self, statement: Statement, time: int) -> bool:
        kind = statement.kind
        if kind is StatementKind.ACCEPTED:
            last = self.last
            if last is None or last.kind is not StatementKind.TRANSFERRED:
                return False
            return _signed_by(statement.signed, [did.public_key(last.args[0].decode())])
        if kind is StatementKind.INSPECTED:
            return self._inspected(statement, time)
        speakers: list[PublicKey] = []
        if kind is not StatementKind.TRANSFERRED:
            speakers.extend(self.issuers)
        if kind in _OWNER_MAY and self.owner is not None:
            speakers.append(did.public_key(self.owner))
        return _signed_by(statement.signed, speakers)

    def _inspected(self, statement: Statement, time: int) -> bool:
        try:
            given = credential.parse(statement.args[1])
        except TallystickError:
            return False
        return (
            given.role == INSPECTOR
            and given.valid_at(time)
            and _signed_by(given.signed, self.issuers)
            and _signed_by(statement.signed, [given.device_key])
        )

    def _take(self, statement: Statement, time: int) -> None:
        match statement.kind:
            case StatementKind.REGISTERED:
                self.status, self.owner = Status.ACTIVE, statement.args[0].decode()
            case StatementKind.ACCEPTED:
                self.owner = self.last.args[0].decode() if self.last else None
            case StatementKind.SUSPENDED:
                self.status = Status.SUSPENDED
            case StatementKind.STOLEN:
                # stops an owner from ending a suspension by a theft that is over at once
                if self.status is not Status.STOLEN:
                    self._before_theft = self.status
                self.status = Status.STOLEN
            case StatementKind.RECOVERED:
                self.status = self._before_theft
            case StatementKind.RESUMED:
                self.status = Status.ACTIVE
            case StatementKind.RETIRED | StatementKind.REPLACED:
                self.status = Status.RETIRED
            case StatementKind.TRANSFERRED | StatementKind.INSPECTED:
                pass
        self.last, self._last_time = statement, time


def _signed_by(signed: Signed, keys: Sequence[PublicKey]) -> bool:
    for key in keys:
        if key.kid == signed.kid:
            try:
                signed.verify(key)
            except TallystickError:
                continue
            return True
    return False
