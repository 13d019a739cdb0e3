"""What the board says of itself in an `open` record: agent digest and hardware fingerprint.

Rules
* digest: SHA-256 over the sorted lines `path SP size SP sha256-hex LF` of all agent files, 16 bytes. It is the
  board's own word.
* fingerprint: SHA-256(salt || list)[:16]. The salt is made once and goes with the list to the owner over the
  console, never into the chain: a bare hash of a MAC is guessed in a second.
"""

import os
import sys
from hashlib import sha256

from tally import hal

_ROOTS = ("boot.py", "lib", "main.py", "modem", "sensors", "tally")  # in this order
_START = ("boot.py", "main.py")  # in the first place always
_SALT = "salt"
PRINT = "print"  # the fingerprint of a board with a modem (modem/who.py)


def _next(folder, last):
    """The name that comes after `last` in a folder, a folder's with a slash behind it; None after the last one.

    Looked for again each time: a list of all names would not fit into a small heap."""
    found = None
    for entry in os.ilistdir(folder):
        name = entry[0] + "/" if entry[1] & 0x4000 else entry[0]
        if name > last and (found is None or name < found):
            found = name
    return found


def _add(total, place, path, buffer):
    file_hash = sha256()
    size = 0
    with open(place + path, "rb") as file:
        while True:
            length = file.readinto(buffer)
            if not length:
                break
            size += length
            file_hash.update(memoryview(buffer)[:length])
    total.update(b"%s %d %s\n" % (path.encode(), size, file_hash.digest().hex().encode()))


def _walk(total, place, folder, buffer):
    name = _next(place + folder, "")
    while name is not None:
        if name[-1] == "/":
            _walk(total, place, folder + "/" + name[:-1], buffer)
        else:
            _add(total, place, folder + "/" + name, buffer)
        name = _next(place + folder, name)


def whole(place):
    """32 bytes over the files of the agent as they lie in a place (tally/place.py)."""
    total = sha256()
    buffer = bytearray(256)
    for root in _ROOTS:
        folder = "" if root in _START else place
        try:
            is_folder = os.stat(folder + root)[0] & 0x4000
        except OSError:
            continue
        (_walk if is_folder else _add)(total, folder, root, buffer)
    return total.digest()


def digest():
    """16 bytes over the files of the agent that runs."""
    return whole("b/" if "b" in sys.path else "")[:16]


def hardware():
    """The list behind the fingerprint: identifiers of the hardware, bytes each."""
    return [bytes(hal.unique_id())]


def salt(store):
    """16 bytes, made once."""
    kept = hal.blob(store, _SALT, 16)
    if kept is None:
        kept = hal.urandom(16)
        store.set_blob(_SALT, kept)
        store.commit()
    return bytes(kept)


def hashed(salted, parts):
    """The fingerprint over these parts."""
    total = sha256(salted)
    for part in parts:
        total.update(part)
    return total.digest()[:16]


def fingerprint(store):
    """(fingerprint, salt)."""
    salted = salt(store)
    kept = hal.blob(store, PRINT, 16)
    return bytes(kept) if kept else hashed(salted, hardware()), salted
