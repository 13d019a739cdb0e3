"""A start, a failed write, a gateway that contradicts the chain: what is done then. Loaded for it, then forgotten.

Rules
* At a start the journal may be ahead of the head: its complete record counts, its seq is not signed again. A head that
  is ahead of the journal means lost files: the numbers are remembered, for an event `dropped`.
* What contradicts is never signed around: the chain is halted, over restarts, too, until a valid acknowledgement tells
  where it goes on.
* A flash that fails is not touched again (tally/hal.py).
"""

import errno
import os
from struct import pack, unpack

from micropython import const

from tally import cose, hal, record
from tally.chain import UPTO_STEP, Halted
from tally.journal import FRAME, SUFFIX, frame

_GONE = "gone"
_HALT = "halt"  # 1 from a contradiction until it is settled
_NAME_BYTES = const(14)


# --- journal


def find(journal):
    """The segments that there are, at a start."""
    hal.flash_check()
    try:
        _find(journal)
    except OSError as error:
        hal.flash_check(error)
        raise
    recover(journal)


def _find(journal):
    folder = journal.folder
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.args[0] != errno.EEXIST:
            raise
    for name in os.listdir(folder):
        if name.endswith(SUFFIX) and len(name) == _NAME_BYTES:
            journal.starts.append(int(name[:10], 16))
        else:
            os.remove(folder + "/" + name)  # a cut that was itself cut off
    journal.starts.sort()


def recover(journal):
    """Cut away what is incomplete at the end, and go on behind what is good."""
    hal.flash_check()
    journal.cursor = (None, 0, 0)
    journal.last = None
    try:
        journal.close()
        while journal.starts and journal.last is None:
            _recover(journal)
    except OSError as error:
        hal.flash_check(error, journal.file)
        raise


def _recover(journal):
    """Find the end of the last segment and cut away what is not a complete frame."""
    start = journal.starts[-1]
    path = journal.path(start)
    good = 0
    count = 0
    with open(path, "rb") as file:
        while True:
            data = frame(file)
            if data is None:
                break
            good += FRAME + len(data)
            count += 1
    size = os.stat(path)[6]
    if not count:
        os.remove(path)
        journal.starts.pop()
        return
    if size > good:
        _cut(path, good)
    journal.last = start + count - 1
    journal.length = good


def _cut(path, length):
    """There is no truncate: copy what is good, flush, rename over."""
    target = open(path + "~", "wb")
    try:
        with open(path, "rb") as source:
            while length:
                piece = source.read(min(length, 512))
                target.write(piece)
                length -= len(piece)
        target.flush()
    except OSError as error:
        hal.flash_check(error, target)
        target.close()
        raise
    target.close()
    os.rename(path + "~", path)


def clear(journal):
    """Forget every record."""
    hal.flash_check()
    try:
        journal.close()
        while journal.starts:
            # the newest first: what a cut leaves is then still a beginning, without a gap
            os.remove(journal.path(journal.starts[-1]))
            journal.starts.pop()
    except OSError as error:
        hal.flash_check(error, journal.file)
        raise
    journal.last = None
    journal.cursor = (None, 0, 0)


# --- chain


def start(chain):
    """At a start: what was acknowledged, what is signed next."""
    gone = hal.blob(chain.store, _GONE, 16)
    chain.gone = unpack(">QQ", gone) if gone else None
    head = chain.head
    if head.next is not None and chain.upto >= head.next:
        # a cut in `settle`: the head went back, and the branch that was acknowledged is not ours any more
        chain.upto, chain.kept = -1, -1 - UPTO_STEP
        chain.advance(head.next - 1)
    reconcile(chain)
    if hal.number(chain.store, _HALT) and not chain.halted:
        chain.halted = "an acknowledgement contradicted the chain before the restart"


def _prev_at(chain, seq):
    """`prev` in our own record with this seq, None if it is not here."""
    data = chain.journal.read(seq)
    return None if data is None else record.place(cose.own_payload(data))[1]


def reconcile(chain):
    """Make head and journal agree."""
    head, journal = chain.head, chain.journal
    if head.next is None:
        chain.halted = "the board has a key and no head"
        return
    if head.adopted and _prev_at(chain, head.next) != head.prev:
        clear(journal)
        return
    last = -1 if journal.last is None else journal.last
    if last >= head.next:
        if _prev_at(chain, head.next) != head.prev:
            chain.halted = "the journal does not continue the head"
            return
        head.set(last + 1, chain.id_at(last))
    elif last < head.next - 1 and not head.adopted:
        first = max(last, chain.upto) + 1
        if first < head.next:
            remember_gone(chain, first, head.next - 1)


def remember_gone(chain, first, last):
    """Kept until the event is signed: the next start would not see the loss any more."""
    if chain.gone:
        first, last = min(first, chain.gone[0]), max(last, chain.gone[1])
    chain.store.set_blob(_GONE, pack(">QQ", first, last))
    chain.store.commit()
    chain.gone = (first, last)


def name_adopted(chain, time):
    """Chain.name_adopted. It may be in the journal already, where the head was not kept after it."""
    head, journal = chain.head, chain.journal
    if journal.last is not None and journal.last >= head.next:
        reconcile(chain)
    if head.adopted:
        chain.sign(record.event, time, record.ADOPTED, (head.next - 1,) + head.adopted)


def name_gone(chain, time):
    """Chain.name_gone."""
    chain.sign(record.event, time, record.DROPPED, chain.gone)
    _forget_gone(chain)


def _forget_gone(chain):
    if chain.gone:
        chain.store.erase_key(_GONE)
        chain.store.commit()
        chain.gone = None


def begin(chain):
    """Allow seq 0."""
    if chain.journal.last is not None:
        raise Halted("there are records of this board already")
    head = chain.head
    if head.next is not None:
        raise Halted("this board has a chain already")
    if head.born:
        raise Halted("this board has lost the head of its chain; an acknowledgement gives it back")
    head.set(0, record.genesis_prev(chain.key.public))
    chain.halted = None


def hear(chain, told, contradiction):
    """An acknowledgement that contradicts the chain, or one for a chain that is halted."""
    if contradiction is not None:
        chain.halted = contradiction
        chain.store.set_i32(_HALT, 1)
        chain.store.commit()
    newest = chain.told
    other = newest is None or newest.gateway != told.gateway
    if other or told.checkpoint[1] >= newest.checkpoint[1]:
        if newest is None or newest.id != told.id:
            chain.since = hal.ticks_ms()
        chain.told = told


def settle(chain):
    """Go on behind the acknowledged record."""
    told, head, journal = chain.told, chain.head, chain.journal
    last = journal.last
    mine = chain.id_at(told.upto)
    older = last is not None and told.upto < journal.first
    if last is not None and (mine == told.id or older):
        # Only the head was lost. Our records go on, even where the gateway lacks some that have left: none
        # is signed again. With a head, one of the writes below had failed.
        if head.next is None:
            head.set(last + 1, chain.id_at(last))
    else:
        head.set(told.upto + 1, told.id, (told.gateway, told.time))
        clear(journal)
        chain.upto = -1
    chain.store.set_i32(_HALT, 0)
    chain.store.commit()
    _forget_gone(chain)
    chain.told = None
    chain.halted = None
    chain.kept = -1 - UPTO_STEP
    chain.advance(told.upto)
