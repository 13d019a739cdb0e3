"""A record: one signed message of a board, a link of its chain (docs/format.md, section 4).

`parse` takes bytes apart and refuses all that is not in the form of the specification; it says
nothing about the signature (`Record.signed.verify`) or about the place in the chain
(`tallystick.chain`). `sign` makes a record, as a simulator or a test needs it; boards have their
own code.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from tallystick import body, cbor, cose, limits
from tallystick.body import Body, Event, EventCode, Kind
from tallystick.cose import Signed, Signer, Typ
from tallystick.errors import FormatError, LimitError
from tallystick.fields import is_int, octets, uint
from tallystick.keys import PublicKey, kid
from tallystick.value import Value, computed

__all__ = ["Record", "device_id", "genesis", "parse", "possession_bytes", "sign"]

GENESIS_LABEL: Final = b"tallystick/v1/genesis\n"
_PLAIN: Final = frozenset({int, bytes, type(None), list})
_KINDS: Final = {kind.value: kind for kind in Kind}
CLOCK_UNSET_BELOW: Final = 2**30  # a smaller `time` means seconds since boot


class Record(Value):
    """A record as it came (`signed.raw`) and what it says. The signature is not checked yet."""

    signed: Signed
    seq: int
    prev: bytes
    time: int
    kind: Kind
    body: Body

    # by hand: there is one for each record, and the general way takes twice the time
    def __init__(
        self,
        signed: Signed,
        seq: int,
        prev: bytes,
        time: int,
        kind: Kind,
        body: Body,
    ) -> None:
        own = self.__dict__
        own["signed"] = signed
        own["seq"] = seq
        own["prev"] = prev
        own["time"] = time
        own["kind"] = kind
        own["body"] = body

    @property
    def raw(self) -> bytes:
        """The exact bytes: what travels, is stored and is hashed."""
        return self.signed.raw

    @computed
    def id(self) -> bytes:
        """SHA-256 of what was signed; the `prev` of the next record."""
        return self.signed.id

    @property
    def clock_set(self) -> bool:
        """Is `time` in Unix seconds (else in seconds since boot)?"""
        return self.time >= CLOCK_UNSET_BELOW

    def gives_up(self) -> range | None:
        """The seqs that this event declares gone, None for all other records."""
        if isinstance(self.body, Event) and self.body.code in (EventCode.DROPPED, EventCode.PRUNED):
            first, last = self.body.args
            if isinstance(first, int) and isinstance(last, int):
                return range(first, last + 1)
        return None

    def adopts(self) -> int | None:
        """The `upto` that this record adopts, None for all but an `adopted` event."""
        if isinstance(self.body, Event) and self.body.code == EventCode.ADOPTED:
            upto = self.body.args[0]
            return upto if isinstance(upto, int) else None
        return None


def genesis(key: PublicKey) -> bytes:
    """The `prev` of seq 0: a chain's first link is bound to its key."""
    return sha256(GENESIS_LABEL + key.raw).digest()


def parse(raw: bytes) -> Record:
    """`raw` as a record; `FormatError` or `LimitError` otherwise. The signature is not checked."""
    signed = cose.parse(raw, Typ.RECORD, limit=limits.RECORD_BYTES)
    payload = cbor.decode_lists(signed.payload, limits.PAYLOAD_DEPTH)
    if payload is None or len(payload) < 5:
        payload = _payload(signed.payload)
    seq = uint(payload[0], "seq", limits.SEQ)
    prev = octets(payload[1], "prev", 32)
    time = uint(payload[2], "time", limits.TIME)
    number = payload[3]
    if not is_int(number) or (kind := _KINDS.get(number)) is None:
        raise FormatError("record.kind", f"record kind {number!r} is not known")
    if kind is Kind.OPEN and len(raw) > limits.OPEN_BYTES:
        raise LimitError("record.open-length", f"an open of {len(raw)} bytes, the limit is 256")
    return Record(signed, seq, prev, time, kind, body.parse(kind, payload[4:], seq))


def sign(signer: Signer, seq: int, prev: bytes, time: int, says: Body) -> bytes:
    """The bytes of a record, made by `signer`."""
    return cose.sign(signer, Typ.RECORD, cbor.encode([seq, prev, time, *body.fields(says)]))


def possession_bytes(device: bytes, seq: int, prev: bytes, time: int, key: PublicKey) -> bytes:
    """What the new key signs to show that it is there, when a `rotate` at `seq` names it."""
    payload = cbor.encode([device, seq, prev, time, key.alg, key.raw])
    return cose.sig_structure(cose.protected_header(key.alg, key.kid, Typ.POSSESSION), payload)


def device_id(key: PublicKey) -> bytes:
    """The id of the device whose first key is `key` (8 bytes)."""
    return kid(key.raw)


def _payload(encoded: bytes) -> list[cbor.Value]:
    """The payload in all its forms, or what is wrong with it."""
    payload = cbor.decode(encoded)
    if not isinstance(payload, list) or len(payload) < 5:
        raise FormatError("record.shape", "a payload is an array [seq, prev, time, kind, ...]")
    _only_plain(payload, 0)
    return payload


def _only_plain(value: list[cbor.Value], depth: int) -> None:
    """Integers, byte strings, null and arrays at most three deep: no maps, text, booleans, tags."""
    if depth >= limits.PAYLOAD_DEPTH:
        raise FormatError("record.depth", "arrays nested deeper than 3")
    foreign = set(map(type, value)) - _PLAIN
    if foreign:
        raise FormatError("record.type", f"{foreign.pop().__name__} has no place in a record")
    for item in value:
        if isinstance(item, list):
            _only_plain(item, depth + 1)
