"""COSE_Sign1 in the one shape that the specification allows (docs/format.md, 3).

    18([<< {1: alg, 4: kid, 16: typ} >>, {}, payload, signature])

Rules
* The signature and the id are over Sig_structure, never over the message.
* Whoever reads a message knows beforehand who must have signed it, and what kind it must be: the whole
  protected header is compared with the one expected, so that nothing in it is ever interpreted.
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

_CONTEXT = b"\x84\x6aSignature1\x51"  # the protected header has 17 bytes
_START = b"\xd2\x84\x51"
_SIGNATURE = b"\x58\x40"


class CoseError(Exception):
    """The bytes are not a signed object of the expected kind and signer."""


def kid(public):
    """Key identifier: the first 8 bytes of SHA-256 of the key (32 bytes, Ed25519)."""
    return sha256(public).digest()[:8]


def protected(signer, typ):
    """The protected header of a message that the key with this kid signs: 17 bytes."""
    return b"\xa3\x01\x32\x04\x48" + signer + b"\x10\x19" + typ.to_bytes(2, "big")


def to_be_signed(signer, typ, payload):
    """Sig_structure (RFC 9052, 4.4) as a bytearray."""
    out = bytearray(_CONTEXT)
    out.extend(protected(signer, typ))
    out.append(0x40)
    cbor.put(out, payload)
    return out


def message(signer, typ, payload, signature):
    """The complete tagged COSE_Sign1 as a bytearray."""
    out = bytearray(_START)
    out.extend(protected(signer, typ))
    out.append(0xA0)
    cbor.put(out, payload)
    out.extend(_SIGNATURE)
    out.extend(signature)
    return out


def identify(signer, typ, payload):
    """The id of a signed object: SHA-256 of what was signed."""
    return sha256(to_be_signed(signer, typ, payload)).digest()


def signer(data):
    """The kid that a message of the one shape names; nothing says that it is true."""
    return bytes(data[8:16])


def split(data, signer, typ):
    """Take a message apart: (payload, signature). The signature is not verified here. Raises CoseError with a code:
    message.signer is another kind, or another key than the one expected."""
    start = _START + protected(signer, typ) + b"\xa0"
    at = len(start)
    if bytes(data[:at]) != start:
        raise CoseError("message.signer")
    end = len(data) - 66
    if end <= at or bytes(data[end : end + 2]) != _SIGNATURE:
        raise CoseError("message.cose")
    framed = data[at:end]
    try:
        payload = cbor.decode(framed)
    except cbor.CborError:
        raise CoseError("message.cose") from None
    if not isinstance(payload, bytes):
        raise CoseError("message.cose")
    return payload, bytes(data[end + 2 :])
