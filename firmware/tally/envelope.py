"""The signed object around a message of somebody else (docs/format.md, 3), taken apart. Loaded for one, then forgotten.

Rules
* Whoever reads a message knows beforehand who must have signed it, and what kind it must be: the whole
  protected header is compared with the one expected, so that nothing in it is ever interpreted.
* Whoever asks verifies the signature before anything of the payload is read (tally/trust.py). A message that is too
  long is not even read.
"""

from micropython import const

from tally import cose
from tally.stream import MAX_MESSAGE_BYTES
from tally.trust import MessageError

_START = const(b"\xd2\x84\x51")


def _payload_at(framed):
    """Where the payload of a byte string begins; it must reach to the end, and its head must be the shortest."""
    first, size = framed[0], len(framed)
    if first == 0x58 and size > 1:
        at, length, least = 2, framed[1], 24
    elif first == 0x59 and size > 2:
        at, length, least = 3, framed[1] << 8 | framed[2], 256
    else:
        at, length, least = 1, first - 0x40, 0
    if length < least or (at == 1 and length > 23) or at + length != size:
        raise MessageError("message.cose")
    return at


def parts(data, public, typ):
    """(signed, signature, offset): what the signature of a message is over if this key signed it for this purpose, and
    where in it the payload begins. Raises MessageError."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError("message.length")
    header = cose.protected(cose.kid(public), typ)
    start = _START + header + b"\xa0"
    at = len(start)
    end = len(data) - 66
    if bytes(data[:at]) != start:
        raise MessageError("message.signer")
    if end <= at or bytes(data[end : end + 2]) != cose.SIGNATURE:
        raise MessageError("message.cose")
    # Sig_structure (RFC 9052, 4.4)
    signed = cose.CONTEXT + header + b"\x40" + data[at:end]
    at = len(signed) - (end - at)
    return signed, bytes(data[end + 2 :]), at + _payload_at(memoryview(signed)[at:])
