"""What gateway, owner and board say to each other: acknowledgement, command, challenge, grant
(docs/format.md, section 6).

`parse_*` takes bytes apart and checks their form; `.signed.verify(key)` checks the signature. Who
may sign what is the receiver's to know: an acknowledgement or a command counts only from the
gateway that holds the owner's newest grant.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick import cbor, cose, limits
from tallystick.body import MilestoneRef, milestone_field, milestone_ref
from tallystick.checkpoint import gateway_name
from tallystick.cose import Signed, Signer, Typ
from tallystick.errors import FormatError
from tallystick.fields import is_int, octets, optional_octets, text, uint
from tallystick.keys import ED25519, PublicKey
from tallystick.value import Value

__all__ = [
    "Acknowledgement",
    "Challenge",
    "Command",
    "Grant",
    "parse_acknowledgement",
    "parse_challenge",
    "parse_command",
    "parse_grant",
    "sign_acknowledgement",
    "sign_challenge",
    "sign_command",
    "sign_grant",
]


class Acknowledgement(Value):
    """Everything up to `upto` is durable at the gateway, or given up; `id` is that of record
    `upto`.
    """

    signed: Signed
    device: bytes
    upto: int | None
    id: bytes | None
    missing: tuple[range, ...]
    time: int
    size: int
    root: bytes
    milestone: MilestoneRef | None
    nonce: bytes


class Command(Value):
    """The gateway asks a board to do `name`; `counter` is above that of the command before."""

    signed: Signed
    device: bytes
    counter: int
    name: str
    args: tuple[cbor.Value, ...]


class Challenge(Value):
    """A board's answer to a nonce: it holds `key`, and would sign `next` next (None: it has no
    head).
    """

    signed: Signed
    device: bytes
    nonce: bytes
    key: PublicKey
    next: int | None


class Grant(Value):
    """The owner's word: the gateway with this key may acknowledge and command; the highest serial
    wins.
    """

    signed: Signed
    key: PublicKey
    origin: str
    serial: int


def parse_acknowledgement(raw: bytes) -> Acknowledgement:
    """typ 65002, by the gateway."""
    signed, fields = _payload(raw, Typ.ACKNOWLEDGEMENT, 9)
    device, upto, record_id, missing, time, size, root, milestone, nonce = fields
    if (upto is None) != (record_id is None):
        raise FormatError("message.acknowledgement", "upto and id come together")
    return Acknowledgement(
        signed,
        octets(device, "device id", 8),
        None if upto is None else uint(upto, "upto", limits.SEQ),
        optional_octets(record_id, "id", 32),
        _ranges(missing),
        uint(time, "time", limits.TIME),
        uint(size, "size", limits.TREE_SIZE),
        octets(root, "root", 32),
        milestone_ref(milestone),
        octets(nonce, "nonce", 16),
    )


def sign_acknowledgement(
    signer: Signer,
    *,
    device: bytes,
    upto: int | None,
    id: bytes | None,
    missing: Sequence[range],
    time: int,
    size: int,
    root: bytes,
    milestone: MilestoneRef | None,
    nonce: bytes,
) -> bytes:
    """An acknowledgement; of `missing` the lowest 16 ranges are named."""
    ranges = [[hole.start, hole.stop - 1] for hole in missing[: limits.MISSING_RANGES]]
    fields = [device, upto, id, ranges, time, size, root, milestone_field(milestone), nonce]
    return cose.sign(signer, Typ.ACKNOWLEDGEMENT, cbor.encode(fields))


def parse_command(raw: bytes) -> Command:
    """typ 65003, by the gateway."""
    signed, (device, counter, name, args) = _payload(raw, Typ.COMMAND, 4)
    if not isinstance(args, list) or len(args) > limits.EVENT_ARGS:
        raise FormatError("message.command", "args is an array of at most 16")
    if not all(_is_arg(arg, 1) for arg in args):
        raise FormatError("message.command", "args are integers, byte strings, null and arrays")
    return Command(
        signed,
        octets(device, "device id", 8),
        uint(counter, "counter", limits.SEQ),
        text(name, "name", limits.COMMAND_NAME_BYTES),
        tuple(args),
    )


def sign_command(
    signer: Signer, *, device: bytes, counter: int, name: str, args: Sequence[cbor.Value] = ()
) -> bytes:
    """A command to `device`."""
    return cose.sign(signer, Typ.COMMAND, cbor.encode([device, counter, name.encode(), list(args)]))


def parse_challenge(raw: bytes) -> Challenge:
    """typ 65004, by the device; the key it names has to be the one that signed."""
    signed, (device, nonce, alg, key, next_seq) = _payload(raw, Typ.CHALLENGE, 5)
    if not is_int(alg) or not isinstance(key, bytes):
        raise FormatError("message.challenge", "a challenge names alg and key")
    return Challenge(
        signed,
        octets(device, "device id", 8),
        octets(nonce, "nonce", 16),
        PublicKey.from_bytes(key, alg),
        None if next_seq is None else uint(next_seq, "next", limits.SEQ),
    )


def sign_challenge(signer: Signer, *, device: bytes, nonce: bytes, next_seq: int | None) -> bytes:
    """A board's answer to `nonce`, as a simulator makes it."""
    key = signer.public
    return cose.sign(
        signer, Typ.CHALLENGE, cbor.encode([device, nonce, key.alg, key.raw, next_seq])
    )


def parse_grant(raw: bytes) -> Grant:
    """typ 65005, by the owner."""
    signed, (key, origin, serial) = _payload(raw, Typ.GRANT, 3)
    gateway = PublicKey.from_bytes(octets(key, "gateway key", 32), ED25519)
    name = text(origin, "origin", limits.DID_BYTES)
    if name != gateway_name(gateway):
        raise FormatError("message.grant", f"the origin {name!r} is not that of the key")
    return Grant(signed, gateway, name, uint(serial, "serial", limits.SEQ))


def sign_grant(owner: Signer, gateway: PublicKey, serial: int) -> bytes:
    """The owner's grant to the gateway with this key."""
    return cose.sign(
        owner, Typ.GRANT, cbor.encode([gateway.raw, gateway_name(gateway).encode(), serial])
    )


def _payload(raw: bytes, typ: Typ, count: int) -> tuple[Signed, list[cbor.Value]]:
    signed = cose.parse(raw, typ)
    fields = cbor.decode(signed.payload)
    if not isinstance(fields, list) or len(fields) != count:
        raise FormatError("message.shape", f"{typ.name.lower()}: not an array of {count}")
    return signed, fields


def _is_arg(value: cbor.Value, depth: int) -> bool:
    if isinstance(value, list):
        return depth < limits.PAYLOAD_DEPTH and all(_is_arg(one, depth + 1) for one in value)
    return value is None or isinstance(value, bytes) or is_int(value)


def _ranges(value: cbor.Value) -> tuple[range, ...]:
    if not isinstance(value, list) or len(value) > limits.MISSING_RANGES:
        raise FormatError("message.missing", "missing is an array of at most 16 ranges")
    ranges: list[range] = []
    for item in value:
        if not isinstance(item, list) or len(item) != 2:
            raise FormatError("message.missing", "a range is [from, to]")
        first, last = (uint(end, "missing", limits.SEQ) for end in item)
        if last < first or (ranges and first < ranges[-1].stop):
            raise FormatError("message.missing", "ranges are ascending and disjoint")
        ranges.append(range(first, last + 1))
    return tuple(ranges)
