"""The owner's word which gateway may acknowledge (docs/format.md, 6). Loaded for one, and forgotten after it."""

from tally import cose
from tally.message import MessageError, octets, uint, verified


class Grant:
    """The owner's word that the gateway with this key (32 bytes) may acknowledge. The highest serial holds."""

    def __init__(self, data, owner):
        """Verify and read; owner: the pinned key. Raises MessageError."""
        fields = verified(data, owner, cose.GRANT)
        if not isinstance(fields, list) or len(fields) != 3:
            raise MessageError("message.shape")
        self.gateway, origin, self.serial = fields
        if not octets(self.gateway, 32) or not uint(self.serial):
            raise MessageError("message.shape")
        if origin != b"tallystick/" + cose.kid(self.gateway).hex().encode():
            raise MessageError("message.origin")
