"""Ed25519 (RFC 8032, 5.1) by the native module `_ed25519`, where this board has it: a backend of tally/signer.py.

`make native` builds that module, one file for each architecture (firmware/native). Importing this one raises
ImportError, MemoryError or ValueError where it is missing, does not fit into instruction memory, or is for another
processor. The rules of ed25519.py hold here, too, but that it keeps a C compiler's word for the sequence of steps.
"""

import _ed25519

_key = bytearray(128)  # the expanded key: seed, clamped scalar, prefix, public key
_held = False


def forget():
    """Wipe the expanded key."""
    global _held
    _held = False
    for i in range(128):
        _key[i] = 0


def _expand(seed):
    global _held
    if len(seed) != 32:
        raise ValueError("a seed of %d bytes\nhint: 32 are needed" % len(seed))
    if _held and _key[:32] == seed:
        return
    forget()
    _key[:32] = seed
    _ed25519.expand(_key)
    _held = True


def public(seed):
    """The public key of a seed (32 bytes each)."""
    _expand(seed)
    return bytes(_key[96:])


def sign(seed, message):
    """The 64-byte signature of `message`."""
    _expand(seed)
    return _ed25519.sign(_key, message)


def verify(key, message, signature):
    """Whether `signature` is that of `message` under the public key `key`; strict."""
    return len(key) == 32 and len(signature) == 64 and _ed25519.verify(key, message, signature)
