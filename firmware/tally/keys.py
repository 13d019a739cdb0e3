"""The board's key: made on the board at the first start (`birth`), kept in non-volatile storage, never shown.

Rules
* Seed and public key are one entry, written once. A key is never overwritten.
* A board whose stored public key is not that of its seed does not start: it would sign as somebody else.
* The seed stays in one bytearray inside this class. No method returns it, and repr does not show it.
"""

from hashlib import sha256

from micropython import const

from tally import cose, hal

ENTRY = "key"  # seed, public key: 64 bytes
NEXT = "key_next"  # during a rotation: the same of the new key, and the seq of the `rotate` record
NEXT_BYTES = const(72)
DEVICE = "device"  # kid of the first key, on a board that has another one now


class KeyFault(Exception):
    """The board has no key that it may use."""


class Key:
    """The key of this board.

    public: 32 bytes. kid: 8 bytes; of the board's first key it is the device id. alg: its COSE algorithm.
    trouble: why it does not sign now, or None.
    """

    alg = cose.ED25519
    trouble = None

    def __init__(self, entry):
        from tally import signer

        self._seed = entry[:32]
        self.public = bytes(entry[32:])
        if signer.public(self._seed) != self.public:
            raise KeyFault("the stored public key does not belong to the stored key")
        self.kid = cose.kid(self.public)

    def __repr__(self):
        return "Key(%s)" % self.kid.hex()

    def seal(self, draft, typ):
        """Sign a draft (cose.draft): (complete message, id). The message is a view of the draft's buffer. The signer
        knows `typ` kinds of object only."""
        from tally import signer

        signed = cose.to_sign(draft, self.kid, typ)
        identity = sha256(signed).digest()
        return cose.sealed(draft, signer.sign(self._seed, signed)), identity

    def sign(self, typ, payload):
        """The same for an encoded payload, and the message for keeps."""
        draft = cose.draft(len(payload) + 100)
        draft.raw(payload)
        message, identity = self.seal(draft, typ)
        return bytes(message), identity


def load(store):
    """The key in non-volatile storage, or None on a board that has never had one."""
    entry = hal.blob(store, ENTRY, 64)
    if entry is None:
        try:
            # An entry of another length is damage, not absence: a new key would hide it.
            store.get_blob(ENTRY, bytearray(256))
        except OSError:
            return None
        raise KeyFault("the stored key has another length")
    return Key(entry)
