"""COSE_Sign1 in the one shape that the specification allows (docs/format.md, 3).

    18([<< {1: alg, 4: kid, 16: typ} >>, {}, payload, signature])

Rules
* The signature and the id are over Sig_structure, never over the message.
* tally/message.py reads those of others.
"""

from hashlib import sha256

from micropython import const

from tally import cbor

ED25519 = const(-19)  # RFC 9864
RECORD = const(65000)
POSSESSION = const(65001)
ACKNOWLEDGEMENT = const(65002)
CHALLENGE = const(65004)
GRANT = const(65005)

CONTEXT = const(b"\x84\x6aSignature1\x51")  # the protected header has 17 bytes
_CONTEXT_AND_HEADER = const(b"\x84\x6aSignature1\x51\xa3\x01\x32\x04\x48")
SIGNATURE = const(b"\x58\x40")
_PAYLOAD = const(
    34
)  # where a draft's payload begins: what is signed before it has 31 bytes, its head 3
_DRAFT_BYTES = const(480)


def kid(public):
    """Key identifier: the first 8 bytes of SHA-256 of the key (32 bytes, Ed25519)."""
    return sha256(public).digest()[:8]


def protected(signer, typ):
    """The protected header of a message that the key with this kid signs: 17 bytes."""
    return b"\xa3\x01\x32\x04\x48" + signer + b"\x10\x19" + typ.to_bytes(2, "big")


def draft(size=_DRAFT_BYTES):
    """A `cbor.Writer` of a payload, with room before it. Signed and sent are then views of one buffer:

    signed   84 6a "Signature1" 51 <protected> 40 <payload>
    sent                  d2 84 51 <protected> a0 <payload> 58 40 <signature>
    """
    return cbor.Writer(size, _PAYLOAD)


def _lead(length):
    """Where in the buffer what is signed begins: the shorter the payload's own head, the later."""
    return 2 if length < 24 else 1 if length < 256 else 0


def size(draft):
    """Bytes of the message that the draft becomes."""
    return draft.at - _lead(draft.at - _PAYLOAD) + 56


def to_sign(draft, signer, typ):
    """Sig_structure (RFC 9052, 4.4) of the draft: a view that holds until `sealed`."""
    end = draft.at
    start = _lead(end - _PAYLOAD)
    data = draft.data
    data[start : start + 18] = _CONTEXT_AND_HEADER
    data[start + 18 : start + 26] = signer
    data[start + 26] = 0x10
    data[start + 27] = 0x19
    data[start + 28] = typ >> 8
    data[start + 29] = typ & 255
    data[start + 30] = 0x40
    draft.at = start + 31
    draft.head(2, end - _PAYLOAD)
    draft.at = end
    return memoryview(data)[start:end]


def sealed(draft, signature):
    """The complete tagged COSE_Sign1: a view that holds until the draft is begun anew."""
    start = _lead(draft.at - _PAYLOAD)
    draft.raw(SIGNATURE)
    draft.raw(signature)
    data = draft.data
    data[start + 10] = 0xD2
    data[start + 11] = 0x84
    data[start + 30] = 0xA0
    return memoryview(data)[start + 10 : draft.at]


def own_id(data):
    """The id of a complete message of this board, which its journal kept."""
    total = sha256(CONTEXT)
    total.update(data[3:20])
    total.update(b"\x40")
    total.update(data[21:-66])
    return total.digest()


def own_payload(data):
    """Its payload."""
    return data[24 if data[21] == 0x59 else 23 : -66]
