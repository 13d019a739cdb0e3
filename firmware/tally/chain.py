"""The board's chain: key, head and journal, and the one place where a record is signed.

Rules (docs/format.md, 5.7)
* Sign, then journal (flushed), then head, then publish. Each step may be the last one before a power cut.
* At a start the journal may be ahead of the head: its complete record counts, its seq is not signed again.
* A head that is ahead of the journal means lost files: the numbers are named in an event `dropped`.
* No head, no signature. An acknowledgement for a seq that this board never signed, or with another id than
  that of its own record, halts the chain. A halted chain goes on where a valid acknowledgement tells it:
  behind the record that the gateway has, with `adopted` as the first record.
* Acknowledged segments leave when space is needed; others only with an event `pruned` signed before.

What is rare, a start, a contradiction, stands in tally/repair.py.
"""

from micropython import const

from tally import cose, hal, once, record

SETTLE_MS = const(3000)  # a retained acknowledgement may be old: a newer one may still come
_RESERVE_BYTES = const(65536)  # of the file system, never filled with records
_UPTO = "upto"
UPTO_STEP = const(16)  # how often the acknowledged seq is kept in non-volatile storage


class Halted(Exception):
    """Nothing may be signed now."""


class Unsigned(Halted):
    """The key cannot be had for a moment: it is tried again."""


class Chain:
    """upto: highest acknowledged seq, -1 if none; kept: the one in non-volatile storage. halted: None, or why nothing
    is signed. doubt: whether records are published all the same (modem/chain.py). told, since: the newest
    acknowledgement while halted, and when it came. gone: (from, to), lost and to be named in an event, or None."""

    doubt = False

    def __init__(self, store, key, head, journal, limit):
        """limit: bytes that the journal may take on flash."""
        self.store = store
        self._limit = limit
        self.key = key
        self.head = head
        self.journal = journal
        self._draft = cose.draft()
        self.halted = None
        self.gone = None
        self.told = None
        self.since = 0
        upto = hal.blob(store, _UPTO, 8)
        self.upto = int.from_bytes(upto, "big") if upto else -1
        self.kept = self.upto
        once("repair", "start", self)

    def reconcile(self):
        """Make head and journal agree after a start or a failed write."""
        once("repair", "reconcile", self)

    def begin(self):
        """Allow seq 0: provisioning has said so."""
        once("repair", "begin", self)

    def settle(self):
        """Of a halted chain: go on behind the acknowledged record, once no newer word has come for a while.

        True if the chain goes on; `head.adopted` then says whether `adopted` is due.
        """
        if (
            not self.halted
            or not self.told
            or hal.ticks_diff(hal.ticks_ms(), self.since) < SETTLE_MS
        ):
            return False
        once("repair", "settle", self)
        return True

    def lose(self, seq):
        """A record cannot be read any more: name it, unless a gateway has it."""
        if seq > self.upto:
            once("repair", "remember_gone", self, seq, seq)

    def name_adopted(self, time):
        """Sign `adopted` if it is due."""
        if self.head.adopted:
            once("repair", "name_adopted", self, time)

    def name_gone(self, time):
        """Sign the event `dropped` for what was lost with the storage, if anything was."""
        if self.gone:
            once("repair", "name_gone", self, time)

    def id_at(self, seq):
        """The id of our own record with this seq, None if it is not known (any more)."""
        if self.head.next is not None and seq == self.head.next - 1:
            return self.head.prev
        data = self.journal.read(seq)
        return None if data is None else cose.own_id(data)

    def queue(self):
        """Number of records that are not acknowledged."""
        return 0 if self.head.next is None else max(0, self.head.next - 1 - self.upto)

    def sign(self, build, time, *arguments):
        """Sign what build(draft, (seq, prev, time), *arguments) writes, and keep the record. Returns its seq.

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
        build(self._draft, (seq, head.prev, time), *arguments)
        data, identity = self.key.seal(self._draft, cose.RECORD)
        try:
            self.journal.append(seq, data)
        except hal.FlashFault:
            raise  # a reset, and the next start finds out
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
        contradiction = None
        if not self.halted:
            if told.upto >= self.head.next:
                contradiction = "the gateway has seq %d, which this board never signed" % told.upto
            else:
                mine = self.id_at(told.upto)
                if mine is None:
                    return True  # too old to compare: it frees nothing
                if mine == told.id:
                    self.advance(told.upto)
                    return True
                contradiction = "the gateway has another record with seq %d" % told.upto
        once("repair", "hear", self, told, contradiction)
        return False

    def advance(self, upto):
        self.upto = max(self.upto, upto)
        if self.upto >= self.kept + UPTO_STEP:
            self.store.set_blob(_UPTO, self.upto.to_bytes(8, "big"))
            self.store.commit()
            self.kept = self.upto

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
