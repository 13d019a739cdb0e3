"""Another key for a board that stays the same device (docs/format.md, 4: `rotate`).

1. The new key is made as at birth and kept beside the old one, with the seq of the record to come.
2. The old key signs `rotate`; the record is kept, the head moves behind it.
3. The new key takes the old one's place, and the next record is an `open` that it signs.

Rules
* A head behind that seq means that `rotate` was signed there: the new key is in force. A head at it means that
  nothing was signed: the new key is forgotten. So a power cut at any moment leaves exactly one key.
* Nothing else is signed in between. What cannot be decided now halts the chain until the next start decides it.
* The seed of the old key is overwritten. Flash that has held it may hold it on until its page is erased.
"""

from tally import birth, cbor, cose, hal, keys, record
from tally.chain import Halted


def rotated(out, head, device, key):
    """`key` (keys.Key) signs the next record. Signed by the old one; the new one signs that it is held here."""
    claim = (device,) + head + (cose.ED25519, key.public)
    possession = key.sign(cose.POSSESSION, cbor.encode(claim))[0]
    record.begin(out, head, 4, 3)
    for item in (cose.ED25519, key.public, possession[-64:]):
        out.put(item)


def rotate(board, radio=None):
    """Do all of it. Raises Halted, KeyFault, and OSError where the storage does not take it."""
    chain, store = board.chain, board.store
    if chain.key.alg != cose.ED25519:
        raise keys.KeyFault("the key is in the SIM card: another card is another identity")
    if chain.halted or chain.head.adopted:
        raise Halted(chain.halted or "the first record after an adoption is `adopted`")
    seq = chain.head.next
    entry = birth.draw(radio)
    try:
        store.set_blob(keys.NEXT, bytes(entry) + seq.to_bytes(8, "big"))
        store.commit()
        chain.sign(rotated, board.clock.time(), board.device, keys.Key(entry))
    except OSError:
        if chain.head.next == seq:
            _settle(board, _forget)
            raise
    finally:
        birth.wipe(entry)
    _settle(board, _take)


def renew(agent):
    """The same for a board whose agent runs: what was measured is signed by the old key. Raises what `rotate` does."""
    if agent.state == "ready":
        agent.seal()
    rotate(agent.board)
    agent.opened = None


def resume(board):
    """At a start with a rotation that was cut off: finish it, or forget it."""
    following = board.chain.head.next
    seq = int.from_bytes(hal.blob(board.store, keys.NEXT, keys.NEXT_BYTES)[64:], "big")
    if following is None:
        done = board.chain.journal.read(seq) is not None
    else:
        done = following > seq
    board.log("a rotation was cut off: %s key is in force" % ("the new" if done else "the old"))
    (_take if done else _forget)(board)


def _settle(board, step):
    try:
        step(board)
    except OSError:
        board.chain.halted = "a rotation is not complete: reset"
        raise


def _forget(board):
    if hal.blob(board.store, keys.NEXT, keys.NEXT_BYTES):
        board.store.erase_key(keys.NEXT)
        board.store.commit()


def _take(board):
    store = board.store
    entry = hal.blob(store, keys.NEXT, keys.NEXT_BYTES)
    if not hal.blob(store, keys.DEVICE, 8):
        store.set_blob(keys.DEVICE, board.chain.key.kid)
        store.commit()
    store.set_blob(keys.ENTRY, entry[:64])
    store.commit()
    birth.wipe(entry)
    _forget(board)
    board.chain.key = keys.load(store)
