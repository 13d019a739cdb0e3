"""A statement posted to a ledger, over MQTT (docs/format.md, sections 8 and 13).

1. The ledger's retained `tips` give the parents; they are hints, a wrong one gets the block rejected.
2. The block is published with QoS 1. That the broker has it says nothing: the ledger's receipt does.
3. `rejected` is an error with the ledger's code, tried again once if the parents had become unknown or old.
   `attached` is news that nobody signed; `confirmed` is proven by the milestone, whose signature is checked
   against the policy.

The block is signed by a key of its own that is thrown away: the statement's own signature counts.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from tallystick import block, cbor, receipt, topics
from tallystick.block import BlockKind
from tallystick.errors import TallystickError
from tallystick.fields import octets
from tallystick.keys import PrivateKey
from tallystick.limits import PARENTS, RECEIPT_BYTES, TIPS
from tallystick.policy import Log
from tallystick.receipt import Receipt, State
from tallystick_host import limits
from tallystick_host.broker_line import Broker, Line, broker, connection
from tallystick_host.errors import RefusedError, UndoneError

__all__ = ["Broker", "broker", "post"]

_STALE_PARENTS: Final = ("block.parent-unknown", "block.parent-deep")


def post(at: Broker, ledger: Log, said: bytes, *, wait: bool) -> Receipt:
    """Post the statement `said` to the ledger; its receipt, attached or with `wait` confirmed.

    `RefusedError` with the ledger's code if it rejects the block, `UndoneError` if nobody answers.
    """
    with connection(at, RECEIPT_BYTES) as line:
        answer = _submit(line, at, ledger, said)
        if answer.state is State.REJECTED and answer.detail in _STALE_PARENTS:
            answer = _submit(line, at, ledger, said)
        if answer.state is State.REJECTED:
            code = answer.detail or "block.rejected"
            raise RefusedError(f"the ledger rejects the statement: {code}", code=code)
        if wait and answer.state is not State.CONFIRMED:
            answer = _receipt(
                line,
                ledger,
                answer.block,
                limits.CONFIRMED_S,
                lambda one: one.state is State.CONFIRMED,
            )
        if answer.confirmed is not None:
            _check(answer, ledger)
        return answer


def _submit(line: Line, at: Broker, ledger: Log, said: bytes) -> Receipt:
    names = topics.Ledger(ledger.ledger)
    tips = _parse_tips(_retained(line, at, names.tips))
    parents = secrets.SystemRandom().sample(tips, min(len(tips), PARENTS))
    raw = block.sign(PrivateKey.generate(), parents, int(time.time()), BlockKind.STATEMENT, said)
    line.subscribe(names.receipt(block.block_id(raw)))
    line.publish(names.submit, raw, "the statement")
    return _receipt(line, ledger, block.block_id(raw), limits.RECEIPT_S, lambda _: True)


def _parse_tips(raw: bytes) -> list[bytes]:
    try:
        value = cbor.decode(raw)
        if not isinstance(value, list) or not 0 < len(value) <= TIPS:
            raise UndoneError("the ledger shows no tips to build on", code="ledger.tips")
        return list(dict.fromkeys(octets(one, "tip", 32) for one in value))
    except TallystickError as error:
        raise UndoneError(
            f"what stands as the ledger's tips is none: {error.detail}", code=error.code
        ) from error


def _check(answer: Receipt, ledger: Log) -> None:
    """Is the block in this ledger, by the word of the key that the policy trusts?"""
    confirmed = answer.confirmed
    if confirmed is None:
        return
    stone = confirmed.milestone
    try:
        confirmed.verify_inclusion()
        stone.verify(ledger.vkey.key)
    except TallystickError as error:
        raise RefusedError(
            f"the receipt proves nothing: {error.detail}", code=error.code
        ) from error
    if stone.ledger != ledger.ledger:
        raise RefusedError("the receipt is of another ledger", code="milestone.ledger")


def _retained(line: Line, at: Broker, topic: str) -> bytes:
    """What stands at `topic`."""
    line.subscribe(topic)
    for got, payload, _ in line.messages(limits.TIPS_S):
        if got == topic:
            return payload
    raise UndoneError(
        f"the broker '{at}' has nothing of this ledger",
        code="ledger.tips",
        hint="does the ledger run, at this broker? may this login read its topics?",
    )


def _receipt(
    line: Line, ledger: Log, id: bytes, timeout_s: float, wanted: Callable[[Receipt], bool]
) -> Receipt:
    """The first receipt for block `id` that is `wanted`."""
    topic = topics.Ledger(ledger.ledger).receipt(id)
    for got, payload, _ in line.messages(timeout_s):
        if got != topic:
            continue
        try:
            answer = receipt.parse(payload)
        except TallystickError:
            continue  # anyone may publish bytes there
        if answer.block == id and wanted(answer):
            return answer
    raise UndoneError(
        f"no receipt of the ledger for block {id.hex()} in {timeout_s:.0f} s",
        code="ledger.silent",
        hint="the statement may still be attached: tally device history shows it",
    )
