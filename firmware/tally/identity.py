"""What the board says of itself in an `open` record: agent digest and hardware fingerprint.

Rules
* digest: SHA-256 over the sorted lines `path SP size SP sha256-hex LF` of all agent files, 16 bytes. It is the
  board's own word.
* fingerprint: SHA-256(salt || list)[:16]. The salt is made once and goes with the list to the owner over the
  console, never into the chain: a bare hash of a MAC is guessed in a second.
"""

import os
from hashlib import sha256

from tally import hal

_ROOTS = ("boot.py", "main.py", "lib", "sensors", "tally")
_SALT = "salt"


def _files(path):
    try:
        is_folder = os.stat(path)[0] & 0x4000
    except OSError:
        return []
    if not is_folder:
        return [path]
    found = []
    for name in os.listdir(path):
        found.extend(_files(path + "/" + name))
    return found


def digest():
    """16 bytes over the files of the agent as they lie on this board."""
    total = sha256()
    buffer = bytearray(512)
    view = memoryview(buffer)
    paths = []
    for root in _ROOTS:
        paths.extend(_files(root))
    for path in sorted(paths):
        file_hash = sha256()
        size = 0
        with open(path, "rb") as file:
            while True:
                length = file.readinto(buffer)
                if not length:
                    break
                size += length
                file_hash.update(view[:length])
        total.update(b"%s %d %s\n" % (path.encode(), size, file_hash.digest().hex().encode()))
    return total.digest()[:16]


def fingerprint(store, parts):
    """(fingerprint, salt) for the list of hardware identifiers (bytes each)."""
    salt = hal.blob(store, _SALT, 16)
    if salt is None:
        salt = hal.urandom(16)
        store.set_blob(_SALT, salt)
        store.commit()
    total = sha256(salt)
    for part in parts:
        total.update(part)
    return total.digest()[:16], bytes(salt)
