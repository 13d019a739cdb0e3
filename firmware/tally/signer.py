"""The signer: the first backend that is on this board and answers right.

A backend is a module of the agent with three functions:

    public(seed)                    32 bytes -> 32 bytes
    sign(seed, message)             64 bytes (RFC 8032, 5.1.6)
    verify(public, message, signature)      strict, True or False; see the rules of ed25519.py
    forget()                        wipes what it keeps of a seed, if it keeps anything

Rules
* A backend that is for another architecture, does not fit into the memory, or gives one wrong answer to the vectors
  below is passed over. Without any the agent does not start.
* Buffers of any kind come in. The public key is derived from the seed in the backend, never taken from a caller.
"""

import gc

from micropython import const

_BACKENDS = const(("ed25519_native", "ed25519"))
# TEST 2 of RFC 8032, 7.1
_SEED = const(
    b"\x4c\xcd\x08\x9b\x28\xff\x96\xda\x9d\xb6\xc3\x46\xec\x11\x4e\x0f"
    b"\x5b\x8a\x31\x9f\x35\xab\xa6\x24\xda\x8c\xf6\xed\x4f\xb8\xa6\xfb"
)
_PUBLIC = const(
    b"\x3d\x40\x17\xc3\xe8\x43\x89\x5a\x92\xb7\x0a\xa7\x4d\x1b\x7e\xbc"
    b"\x9c\x98\x2c\xcf\x2e\xc4\x96\x8c\xc0\xcd\x55\xf1\x2a\xf4\x66\x0c"
)
_SIGNATURE = const(
    b"\x92\xa0\x09\xa9\xf0\xd4\xca\xb8\x72\x0e\x82\x0b\x5f\x64\x25\x40"
    b"\xa2\xb2\x7b\x54\x16\x50\x3f\x8f\xb3\x76\x22\x23\xeb\xdb\x69\xda"
    b"\x08\x5a\xc1\xe4\x3e\x15\x99\x6e\x45\x8f\x36\x13\xd0\xf1\x1d\x8c"
    b"\x38\x7b\x2e\xae\xb4\x30\x2a\xee\xb0\x0d\x29\x16\x12\xbb\x0c\x00"
)


def answers_right(backend, name):
    """Whether it signs TEST 2; a native one must take the signature, too, and refuse it for another message. Ours
    computes both with the same arithmetic, and a wake-up has no second to spare for it."""
    good = backend.public(_SEED) == _PUBLIC and backend.sign(_SEED, b"\x72") == _SIGNATURE
    if good and name != _BACKENDS[-1]:
        good = backend.verify(_PUBLIC, b"\x72", _SIGNATURE)
        good = good and not backend.verify(_PUBLIC, b"\x73", _SIGNATURE)
    backend.forget()
    return good


def _choose():
    for name in _BACKENDS:
        try:
            backend = __import__("tally." + name, None, None, ("sign",))
            if answers_right(backend, name):
                return name, backend
        except (ImportError, ValueError, RuntimeError, MemoryError):
            continue  # not here, of another architecture, damaged, or too large
    raise RuntimeError("no signer answers right")


NAME, _backend = _choose()
public, forget = _backend.public, _backend.forget


def _alone(function, *arguments):
    """Call a function that leaves much behind and keeps nothing. Its garbage is collected where there is no room, and
    once at the end: collected as early as that of others, it would take most of the time of a small heap."""
    before = gc.threshold()
    gc.threshold(-1)
    try:
        return function(*arguments)
    finally:
        gc.threshold(before)
        gc.collect()


def sign(seed, message):
    return _alone(_backend.sign, seed, message)


def verify(public, message, signature):
    return _alone(_backend.verify, public, message, signature)
