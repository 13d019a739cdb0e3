"""What a gateway and an owner say to the board: acknowledgement and grant (docs/format.md, 6).

Rules
* Nothing of a message is used before its signature is verified: a grant by the pinned owner's key, an
  acknowledgement by the gateway key of the grant in force.
* Shape and sizes are checked to the last item. A message that is too long is not even read.
"""

from micropython import const

from tally import cbor, cose

MAX_MESSAGE_BYTES = const(1024)
_MAX_MISSING = const(16)
_MAX_SEQ = const(1099511627775)


class MessageError(Exception):
    """The message is malformed, or not from whom it must be. Its text is a code of docs/format.md, 15."""


def verified(data, public, typ):
    """The decoded payload of a message that this key signed for this purpose."""
    from tally import ed25519

    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError("message.length")
    signer = cose.kid(public)
    try:
        payload, signature = cose.split(data, signer, typ)
    except cose.CoseError as error:
        raise MessageError(str(error)) from None
    if not ed25519.verify(public, bytes(cose.to_be_signed(signer, typ, payload)), signature):
        raise MessageError("message.signature")
    try:
        return cbor.decode(payload)
    except cbor.CborError:
        raise MessageError("message.cbor") from None


def uint(value):
    return isinstance(value, int) and 0 <= value <= _MAX_SEQ


def octets(value, length):
    return isinstance(value, bytes) and len(value) == length


def _ranges(value):
    """[*16 [from, to]], ascending and disjoint."""
    if not isinstance(value, list) or len(value) > _MAX_MISSING:
        return False
    last = -1
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not (uint(pair[0]) and uint(pair[1])):
            return False
        if not last < pair[0] <= pair[1]:
            return False
        last = pair[1]
    return True


class Acknowledgement:
    """upto, id: everything up to here is safe, both None if nothing is. missing: [[from, to]]. time: Unix s.
    checkpoint: [gateway id, size, root]. milestone: [ledger id, id] or None. nonce: 16 bytes."""

    def __init__(self, data, public, device):
        """Verify and read; device: the id of this board. Raises MessageError."""
        fields = verified(data, public, cose.ACKNOWLEDGEMENT)
        if not isinstance(fields, list) or len(fields) != 9:
            raise MessageError("message.shape")
        named, upto, identity, missing, time, size, root, milestone, nonce = fields
        if named != device:
            raise MessageError("message.device")
        both = (upto is None and identity is None) or (uint(upto) and octets(identity, 32))
        facts = uint(time) and uint(size) and octets(root, 32) and octets(nonce, 16)
        if not (both and facts and _ranges(missing)):
            raise MessageError("message.shape")
        if milestone is not None and not (
            isinstance(milestone, list)
            and len(milestone) == 2
            and octets(milestone[0], 8)
            and octets(milestone[1], 32)
        ):
            raise MessageError("message.shape")
        self.upto = upto
        self.id = identity
        self.missing = missing
        self.time = time
        self.gateway = cose.kid(public)
        self.checkpoint = [self.gateway, size, root]
        self.milestone = milestone
        self.nonce = nonce
