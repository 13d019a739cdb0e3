"""The board's chain: key, head and journal, and the one place where a record is signed.

Rules (docs/format.md, 5.7)
* Sign, then journal (flushed), then head, then publish. Each step may be the last one before a power cut.
* At a start the journal may be ahead of the head: its complete record counts, its seq is not signed again.
* A head that is ahead of the journal means lost files: the numbers are named in an event `dropped`.
* No head, no signature. An acknowledgement for a seq that this board never signed, or with another id than
  that of its own record, halts the chain. A halted chain goes on where a valid acknowledgement tells it:
  behind the record that the gateway has, with `adopted` as the first record.
* Acknowledged segments leave when space is needed; others only with an event `pruned` signed before.
"""

from hashlib import sha256
from struct import pack, unpack

from micropython import const

from tally import cbor, cose, hal, record

SETTLE_MS = const(3000)  # a retained acknowledgement may be old: a newer one may still come
_RESERVE_BYTES = const(65536)  # of the file system, never filled with records
_GONE = "gone"
_UPTO = "upto"
_HALT = (
    "halt"  # 1 from a contradiction until it is settled: a restart does not sign its way around it
)
_UPTO_STEP = const(16)  # how often the acknowledged seq is kept in non-volatile storage


class Halted(Exception):
    """Nothing may be signed now."""


class Chain:
    """upto: highest acknowledged seq, -1 if none. halted: None, or why nothing is signed."""

    def __init__(self, store, key, head, journal, limit):
        """limit: bytes that the journal may take on flash."""
        self._store = store
        self._limit = limit
        self.key = key
        self.head = head
        self.journal = journal
        self.halted = None
        gone = hal.blob(store, _GONE, 16)
        self.gone = (
            unpack(">QQ", gone) if gone else None
        )  # (from, to): lost, to be named in an event
        self._told = None  # the newest acknowledgement while halted, and since when
        self._since = 0
        upto = hal.blob(store, _UPTO, 8)
        self.upto = int.from_bytes(upto, "big") if upto else -1
        self._kept = self.upto
        if head.next is not None and self.upto >= head.next:
            # a cut in `settle`: the head went back, and the branch that was acknowledged is not ours any more
            self.upto, self._kept = -1, -1 - _UPTO_STEP
            self._advance(head.next - 1)
        self.reconcile()
        if hal.number(store, _HALT) and not self.halted:
            self.halted = "an acknowledgement contradicted the chain before the restart"

    def reconcile(self):
        """Make head and journal agree after a start or a failed write."""
        head, journal = self.head, self.journal
        if head.next is None:
            self.halted = "the board has a key and no head"
            return
        if head.adopted and self._prev_at(head.next) != head.prev:
            journal.clear()
            return
        last = -1 if journal.last is None else journal.last
        if last >= head.next:
            if self._prev_at(head.next) != head.prev:
                self.halted = "the journal does not continue the head"
                return
            head.set(last + 1, self._id_at(last))
        elif last < head.next - 1 and not head.adopted:
            first = max(last, self.upto) + 1
            if first < head.next:
                self._remember_gone(first, head.next - 1)

    def lose(self, seq):
        """A record cannot be read any more: name it, unless a gateway has it."""
        if seq > self.upto:
            self._remember_gone(seq, seq)

    def _remember_gone(self, first, last):
        """Kept until the event is signed: the next start would not see the loss any more."""
        if self.gone:
            first, last = min(first, self.gone[0]), max(last, self.gone[1])
        self._store.set_blob(_GONE, pack(">QQ", first, last))
        self._store.commit()
        self.gone = (first, last)

    def name_gone(self, time):
        """Sign the event `dropped` for what was lost with the storage, if anything was."""
        if self.gone:
            self.sign(record.event, time, record.DROPPED, self.gone)
            self._forget_gone()

    def _forget_gone(self):
        if self.gone:
            self._store.erase_key(_GONE)
            self._store.commit()
            self.gone = None

    def _split(self, seq):
        """(kid, payload) of our own record with this seq, None if it is not here. Older ones have an older key."""
        data = self.journal.read(seq)
        if data is None:
            return None
        signer = cose.signer(data)
        try:
            return signer, cose.split(data, signer, cose.RECORD)[0]
        except cose.CoseError:
            return None

    def _prev_at(self, seq):
        """`prev` in our own record with this seq, None if it is not here."""
        found = self._split(seq)
        return None if found is None else record.place(found[1])[1]

    def _id_at(self, seq):
        """The id of our own record with this seq, None if it is not known (any more)."""
        if self.head.next is not None and seq == self.head.next - 1:
            return self.head.prev
        found = self._split(seq)
        if found is None:
            return None
        return sha256(cose.to_be_signed(found[0], cose.RECORD, found[1])).digest()

    def begin(self):
        """Allow seq 0: provisioning has said so."""
        if self.journal.last is not None:
            raise Halted("there are records of this board already")
        self.head.begin(record.genesis_prev(self.key.public))
        self.halted = None

    def queue(self):
        """Number of records that are not acknowledged."""
        return 0 if self.head.next is None else max(0, self.head.next - 1 - self.upto)

    def sign(self, build, time, *arguments):
        """Sign the payload build((seq, prev, time), *arguments) and keep the record. Returns its seq.

        Raises Halted, and OSError where the flash does not take it.
        """
        head = self.head
        if self.halted:
            raise Halted(self.halted)
        if self.journal.last is not None and self.journal.last >= head.next:
            self.reconcile()  # the last one was kept, and then the head was not
        if head.adopted and build is not record.event:
            raise Halted("the first record after an adoption is `adopted`")
        seq = head.next
        payload = cbor.encode(build((seq, head.prev, time), *arguments))
        data, identity = self.key.sign(cose.RECORD, payload)
        try:
            self.journal.append(seq, data)
        except OSError:
            self.journal.recover()
            self.reconcile()
            raise
        head.set(seq + 1, identity)
        return seq

    def acknowledge(self, told):
        """Follow a verified acknowledgement. True if it is about our own chain, False if it halts it."""
        if told.upto is None:
            return not self.halted
        if self.halted:
            self._tell(told)
            return False
        if told.upto >= self.head.next:
            self._halt("the gateway has seq %d, which this board never signed" % told.upto)
        else:
            mine = self._id_at(told.upto)
            if mine is None:
                return True  # too old to compare: it frees nothing
            if mine == told.id:
                self._advance(told.upto)
                return True
            self._halt("the gateway has another record with seq %d" % told.upto)
        self._tell(told)
        return False

    def _halt(self, reason):
        self.halted = reason
        self._store.set_i32(_HALT, 1)
        self._store.commit()

    def _tell(self, told):
        newest = self._told
        other = newest is None or newest.gateway != told.gateway
        if other or told.checkpoint[1] >= newest.checkpoint[1]:
            if newest is None or newest.id != told.id:
                self._since = hal.ticks_ms()
            self._told = told

    def _advance(self, upto):
        self.upto = max(self.upto, upto)
        if self.upto >= self._kept + _UPTO_STEP:
            self._store.set_blob(_UPTO, self.upto.to_bytes(8, "big"))
            self._store.commit()
            self._kept = self.upto

    def settle(self):
        """Of a halted chain: go on behind the acknowledged record, once no newer word has come for a while.

        True if the chain goes on; `head.adopted` then says whether `adopted` is due.
        """
        told = self._told
        if not self.halted or not told or hal.ticks_diff(hal.ticks_ms(), self._since) < SETTLE_MS:
            return False
        last = self.journal.last
        mine = self._id_at(told.upto)
        older = last is not None and told.upto < self.journal.first
        if self.head.next is None and last is not None and (mine == told.id or older):
            # Only the head was lost. Our records go on, even where the gateway lacks some that have left: none
            # is signed again.
            self.head.set(last + 1, self._id_at(last))
        else:
            self.head.set(told.upto + 1, told.id, (told.gateway, told.time))
            self.journal.clear()
            self.upto = -1
        self._store.set_i32(_HALT, 0)
        self._store.commit()
        self._forget_gone()
        self._told = None
        self.halted = None
        self._kept = -1 - _UPTO_STEP
        self._advance(told.upto)
        return True

    def make_room(self, time):
        """Drop the oldest segments while there is too little space; name those that nobody has."""
        while self._short() and self.journal.oldest() is not None:
            last = self.journal.oldest()[1]
            if last > self.upto:
                # signed before it is true: a cut in between leaves records that nobody misses
                # and from the first that nobody has: an earlier event of this kind may be among what leaves
                self.sign(record.event, time, record.PRUNED, (self.upto + 1, last))
            self.journal.drop_oldest()

    def drop_acknowledged(self):
        """Give back what is safe elsewhere, on a flash that takes nothing more."""
        oldest = self.journal.oldest()
        if oldest is not None and oldest[1] <= self.upto:
            self.journal.drop_oldest()

    def _short(self):
        return self.journal.size() > self._limit or hal.free_bytes() < _RESERVE_BYTES
