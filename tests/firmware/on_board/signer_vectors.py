"""Runs the board's signer over a file of cases, in MicroPython: one answer line for a case line.

    micropython signer_vectors.py FOLDER-WITH-tally CASES [BACKEND]

    native                        1 where SHA-512 runs as native code, else 0
    hash MESSAGE                  digest
    sign SEED MESSAGE             public key, signature
    verify KEY MESSAGE SIGNATURE  1 or 0
    views SEED MESSAGE            1 where bytearrays and memoryviews give what bytes give
    forget SEED                   the expanded key after `forget`
    seed SEED                     what ValueError says of a seed of a wrong length

Arguments and answers are hex strings; "-" stands for none.
"""

import sys

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/lib"]

from tally import sha512

backend = sys.argv[3] if len(sys.argv) > 3 else "ed25519"
ed25519 = __import__("tally." + backend, None, None, ("sign",))


def same_for_views(seed, message):
    """Whether the kind of buffer makes no difference."""
    key = ed25519.public(seed)
    signature = ed25519.sign(seed, message)
    for kind in (bytearray, memoryview):
        ed25519.forget()
        if (
            ed25519.public(kind(seed)) != key
            or ed25519.sign(kind(seed), kind(message)) != signature
        ):
            return False
        if not ed25519.verify(kind(key), kind(message), kind(signature)):
            return False
    return True


def answer(name, values):
    """The answer to one case."""
    if name == "native":
        return "%d" % sha512.NATIVE
    if name == "hash":
        return sha512.sha512(*values).hex()
    if name == "sign":
        return ed25519.public(values[0]).hex() + " " + ed25519.sign(*values).hex()
    if name == "verify":
        return "%d" % ed25519.verify(*values)
    if name == "views":
        return "%d" % same_for_views(*values)
    if name == "forget":
        ed25519.public(values[0])
        ed25519.forget()
        return bytes(ed25519._key).hex()
    try:
        ed25519.sign(values[0], b"")
    except ValueError as error:
        return str(error).replace("\n", " ")
    return "accepted"


with open(sys.argv[2]) as cases:
    for line in cases:
        words = line.split()
        values = [b"" if word == "-" else bytes.fromhex(word) for word in words[1:]]
        print(answer(words[0], values))
