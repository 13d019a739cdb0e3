"""The head of the chain in non-volatile storage: what is signed next, even when all files are gone.

Rules
* Two slots, written in turn, each with a counter and a checksum: a write that is cut off leaves the other.
* Without a head nothing is signed. seq 0 becomes the head only by the console's `genesis`, once in a life.
* A head with `adopted` set says: the journal is void, and the next record is `adopted`. It is written before
  the journal is emptied, so that no cut in between lets the old branch grow.
"""

from binascii import crc32
from struct import pack, unpack

from micropython import const

from tally import hal

_LAYOUT = ">IQ32sB8sQ"  # counter, next seq, prev, adopted, gateway id, time of the acknowledgement
_BODY = const(61)
_SLOTS = ("head_a", "head_b")
_BORN = "born"


class Head:
    """next: seq of the record to sign next, None without a head. prev: the id of the one before. born: whether this
    board has, or has ever had, a chain."""

    def __init__(self, store):
        self._store = store
        self._counter = 0
        self.next = None
        self.prev = None
        self.born = bool(hal.number(store, _BORN))
        self.adopted = None  # (gateway id, time) while the record `adopted` is still to be signed
        for slot in _SLOTS:
            entry = hal.blob(store, slot, _BODY + 4)
            if entry is None or crc32(entry[:_BODY]) != int.from_bytes(entry[_BODY:], "big"):
                continue
            counter, seq, prev, adopted, gateway, time = unpack(_LAYOUT, entry[:_BODY])
            if counter > self._counter:
                self._counter, self.next, self.prev = counter, seq, prev
                self.adopted = (gateway, time) if adopted else None

    def set(self, seq, prev, adopted=None):
        """Write the head durably; only then does the object say so."""
        self._counter += 1
        gateway, time = adopted or (bytes(8), 0)
        entry = pack(_LAYOUT, self._counter, seq, prev, 1 if adopted else 0, gateway, time)
        entry += crc32(entry).to_bytes(4, "big")
        if seq and not self.born:
            # with the first record, and before it is published: a cut in `begin` cannot leave it out
            self._store.set_i32(_BORN, 1)
        self._store.set_blob(_SLOTS[self._counter & 1], entry)
        self._store.commit()
        self.born = self.born or seq > 0
        self.next, self.prev, self.adopted = seq, prev, adopted
