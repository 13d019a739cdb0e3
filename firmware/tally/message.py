"""What a gateway and an owner say to the board: acknowledgement and grant (docs/format.md, 6). Loaded with a message,
and forgotten after it.

Rules
* Nothing of a message is used before its signature is verified: a grant by the pinned owner's key, an
  acknowledgement by the gateway key of the grant in force.
* Shape and sizes are checked to the last item. A message that is too long is not even read.
"""

from micropython import const

from tally import cose
from tally.cbor import CborError
from tally.trust import MessageError, opened

_MAX_MISSING = const(16)
_MAX_SEQ = const(1099511627775)


def verified(data, public, typ):
    """The decoded payload of a message that this key signed for this purpose."""
    return decoded(opened([data], public, typ))


def decoded(payload):
    from tally.decode import decode

    try:
        return decode(payload)
    except CborError:
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

    def __init__(self, payload, public, device):
        """payload: of a message that the gateway with this key has signed. device: the id of this board. Raises
        MessageError."""
        fields = decoded(payload)
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


def acknowledgement(payload, public, device):
    """As the class. Raises MessageError."""
    return Acknowledgement(payload, public, device)
