"""How firmly another ledger holds a transaction, and what that says of an anchor (docs/format.md,
section 8.1; step 9 of section 12). Pure: whoever asks a node of that ledger hands in what it said.

A node's word is believed here: it is the verifier who chose the node. What the bytes themselves
prove (`transaction.verify`) is never asked of a node.
"""

from __future__ import annotations

from tallystick import merkle, transaction
from tallystick.account import State
from tallystick.checkpoint import Checkpoint
from tallystick.errors import TallystickError
from tallystick.milestone import Confirmed
from tallystick.policy import Bridge
from tallystick.transaction import Transaction
from tallystick.value import Value
from tallystick.verdict import Outcome

__all__ = ["Executed", "Finding", "Seen", "judge", "reached", "state", "verify"]


class Executed(Value):
    """The block that took a transaction: its number, its hash, its time in Unix seconds."""

    number: int
    block: bytes
    time: int
    succeeded: bool


class Seen(Value):
    """What a node says of one transaction at one moment.

    `chain` is the node's own. `known`: it has the transaction, waiting or in a block. `latest`,
    `safe`, `final` are numbers of its blocks; None where the ledger knows no such block.
    """

    chain: int
    known: bool
    executed: Executed | None
    latest: int
    safe: int | None = None
    final: int | None = None


class Finding(Value):
    """The outcome of the check `ledger.transaction`. `time` (Unix seconds, of the block) is there
    if it is ok.
    """

    result: Outcome
    detail: str
    time: int | None = None


def state(seen: Seen, depth: int = 0) -> State:
    """How firm it is. A block with at least `depth` blocks after it counts as safe where the ledger
    does not say itself which block is; 0: only the ledger's own word counts.
    """
    executed = seen.executed
    if executed is None:
        return State.ACCEPTED if seen.known else State.UNKNOWN
    if not executed.succeeded:
        return State.FAILED
    # block 0 is what a ledger without a final block names; nothing was ever in it
    if seen.final is not None and 0 < executed.number <= seen.final:
        return State.FINAL
    safe = seen.safe
    if safe is None and depth:
        safe = seen.latest - depth
    if safe is not None and executed.number <= safe:
        return State.SAFE
    return State.EXECUTED


def reached(at: State, needed: State) -> bool:
    """Is `at` at least `needed`?"""
    order = list(State)
    return order.index(at) >= order.index(needed)


def verify(anchor: Confirmed, note: Checkpoint) -> Transaction | None:
    """The anchor's transaction if its bytes prove what they should: signed by its key, for this
    anchor. None if the anchor has none; `TallystickError` if they do not.
    """
    sent = anchor.transaction
    if sent is None:
        return None
    sent.verify()
    if sent.later is not None:
        merkle.verify_consistency(
            anchor.milestone.size,
            anchor.milestone.root,
            sent.later.size,
            sent.later.root,
            sent.later.path,
        )
    text = transaction.named_text(note.note, anchor.milestone.ledger, sent.later)
    # stops the transaction of one anchor from being shown for another
    if sent.data != transaction.calldata(text):
        raise transaction.DataError("transaction.data", "it carries another note's hash")
    return sent


def judge(anchor: Confirmed, note: Checkpoint, bridge: Bridge, seen: Seen | None) -> Finding:
    """Is the anchor on the ledger where the policy's `bridge` must have put it?

    `seen` is what a node of that ledger says of the transaction, None if nobody asked.
    """
    try:
        sent = verify(anchor, note)
    except TallystickError as error:
        return Finding(Outcome.FAILED, error.detail)
    if sent is None:
        return Finding(
            Outcome.UNDECIDED, "no transaction in the file; the bridge has its reference"
        )
    if sent.account != bridge.account:
        return Finding(Outcome.UNTRUSTED, f"sent by {sent.account}, not by {bridge.account}")
    name = f"transaction 0x{sent.hash.hex()} of eip155:{sent.chain}"
    if seen is None:
        return Finding(Outcome.SKIPPED, f"{name} was not looked up")
    if seen.chain != sent.chain:
        return Finding(Outcome.UNDECIDED, f"the node serves eip155:{seen.chain}, not {sent.chain}")
    at = state(seen, bridge.depth)
    executed = seen.executed
    if at is State.UNKNOWN:
        return Finding(Outcome.UNDECIDED, f"the node does not know {name}")
    if at is State.FAILED:
        return Finding(Outcome.UNDECIDED, f"{name} failed")
    if executed is None or not reached(at, bridge.state):
        return Finding(Outcome.PENDING, f"{name} is {at}, the policy asks for {bridge.state}")
    return Finding(Outcome.OK, f"{name} is {at}, in block {executed.number}", executed.time)
