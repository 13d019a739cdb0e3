"""The owner's word which gateway may acknowledge (docs/format.md, 6). Loaded for one, and forgotten after it."""

from tally import cose
from tally.message import decoded, octets, uint
from tally.trust import GRANT, MessageError, TrustError


class Grant:
    """The owner's word that the gateway with this key (32 bytes) may acknowledge. The highest serial holds."""

    def __init__(self, payload):
        """payload: of a message that the pinned owner has signed. Raises MessageError."""
        fields = decoded(payload)
        if not isinstance(fields, list) or len(fields) != 3:
            raise MessageError("message.shape")
        self.gateway, origin, self.serial = fields
        if not octets(self.gateway, 32) or not uint(self.serial):
            raise MessageError("message.shape")
        if origin != b"tallystick/" + cose.kid(self.gateway).hex().encode():
            raise MessageError("message.origin")


def accept(trust, payload):
    """Trust.accept, for a grant whose signature was verified."""
    grant = Grant(payload)
    if grant.serial == trust.serial and grant.gateway == trust.gateway:
        return False
    if grant.serial <= trust.serial:
        raise TrustError("grant.serial: %d is not above %d" % (grant.serial, trust.serial))
    trust.store.set_blob(GRANT, grant.serial.to_bytes(8, "big") + grant.gateway)
    trust.store.commit()
    trust.serial = grant.serial
    trust.gateway = grant.gateway
    return True
