"""The thread that pays: it signs transactions for notes, sends them, and watches where they stand.

1. A transaction is signed and kept, with its nonce, before it leaves the process. What was kept and
   is not known to the other ledger is sent again as it is: the same bytes, so the same hash.
2. A note has one transaction. It gets another nonce only when a block was found in which another
   transaction of the account has spent the first one: then the first can never be executed.
3. A transaction that no block takes for long is signed again with a higher price under the same
   nonce, within the budget: of the two only one can ever be executed.
4. When the other ledger has executed more transactions of the account than this folder knows, the
   folder is an old copy or the key is used elsewhere: nothing is posted until an operator says so.
5. What was executed is looked at again until it is final: a block can lose its place, and its
   transactions then stand in another block, or in none and are sent again.
6. The budget sets how often a transaction is signed; a log's newest note goes first and covers the
   smaller ones of that log.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from tallystick import settlement
from tallystick.account import State
from tallystick.settlement import Executed
from tallystick.transaction import calldata
from tallystick_ledger.bridge import bounds, budget
from tallystick_ledger.bridge.evm import Heights, NodeError, View
from tallystick_ledger.bridge.outbox import LOST, Note, Outbox, Sent
from tallystick_ledger.bridge.payer import Payer
from tallystick_ledger.errors import LedgerError

__all__ = ["Poster", "Terms"]

log = structlog.get_logger("bridge")


class Chain(Protocol):
    """What the poster asks of the other ledger; `evm.Node` answers."""

    def chain(self) -> int: ...
    def price(self) -> int: ...
    def gas(self, address: bytes, data: bytes) -> int: ...
    def balance(self, address: bytes) -> int: ...
    def spent(self, address: bytes) -> int: ...
    def heights(self) -> Heights: ...
    def send(self, raw: bytes) -> str: ...
    def view(self, name: bytes, heights: Heights) -> View: ...
    def sent_by(self, address: bytes, number: int) -> list[tuple[int, bytes]]: ...


@dataclass(frozen=True)
class Terms:
    """`budget`: what a day may cost, in the smallest unit. `depth`: see `settlement.state`.
    `adopt_nonce`: go on behind transactions that this folder does not know.
    """

    budget: int
    depth: int = 0
    adopt_nonce: bool = False


class Poster:
    """Runs until `stop` is set. `error` is None if that, and nothing else, ended it."""

    def __init__(
        self,
        database: Path,
        payer: Payer,
        chain: Chain,
        terms: Terms,
        stop: threading.Event,
        newest: Callable[[], list[Note]] = list,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._payer = payer
        self._chain = chain
        self._terms = terms
        self._stop = stop
        self._newest = newest  # checkpoints of ledgers that are followed
        self._clock = clock
        self._searched: dict[int, int] = {}  # by nonce, the next block to look into
        self._trouble = ""
        self._next_facts = 0.0
        self._told_cost = 0
        self.error: LedgerError | None = LedgerError(
            "the poster ended unexpectedly", hint="nothing is lost: start again, and report the log"
        )

    def run(self) -> None:
        """The thread's body."""
        try:
            with Outbox.open(self._database) as outbox:
                while not self._stop.is_set():
                    self.turn(outbox)
                    self._stop.wait(bounds.POLL_S)
            self.error = None
        except LedgerError as error:
            self.error = error
        except sqlite3.Error as error:
            self.error = LedgerError(
                f"the bridge's database fails: {error}",
                hint="see that the disk has room and is sound, then start again",
            )
        finally:
            self._stop.set()

    def turn(self, outbox: Outbox) -> None:
        """One look at the other ledger, and what follows from it."""
        try:
            self._check_chain(outbox)
            spent = self._chain.spent(self._payer.address)
            if self._ours(outbox, spent):
                heights = self._chain.heights()
                self._look(outbox, spent, heights)
                self._post(outbox, heights)
        except NodeError as error:
            self._say(outbox, str(error))

    def _say(self, outbox: Outbox, trouble: str, hint: str = "") -> None:
        """Log a trouble once, and its end."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            log.warning("not posting", reason=trouble, **({"hint": hint} if hint else {}))
        else:
            log.info("posting")
        outbox.set_facts(trouble=trouble)

    # ---- is it the chain, and are the account's transactions ours?

    def _check_chain(self, outbox: Outbox) -> None:
        chain = self._chain.chain()
        # stops a wrong URL from spending another coin, and receipts from naming a chain that they are not on
        if chain != outbox.chain:
            raise LedgerError(
                f"the node serves chain {chain}, this bridge was made for {outbox.chain}",
                hint="give the --rpc of the other chain, or make a bridge for this one",
            )

    def _ours(self, outbox: Outbox, spent: int) -> bool:
        """Rule 4; the first look at the account begins behind what it has sent before."""
        known = outbox.next_nonce
        if known is not None and spent <= known:
            return True
        if known is None or self._terms.adopt_nonce:
            log.info("the account's transactions so far", count=spent)
            with outbox.transaction():
                outbox.set_next_nonce(spent)
            return True
        self._say(
            outbox,
            f"the account has sent {spent} transactions, this folder knows of {known}",
            hint="another program uses the key, or the folder is an old copy, and what it holds may"
            " be paid already; to go on nevertheless: --adopt-nonce",
        )
        return False

    # ---- where the transactions stand

    def _look(self, outbox: Outbox, spent: int, heights: Heights) -> None:
        for sent in outbox.unsettled(spent):
            self._settle(outbox, sent, spent, heights)
        before = self._clock() - bounds.REVISIT_S
        for sent in outbox.settled_before(before, bounds.REVISITS):
            self._settle(outbox, sent, spent, heights)

    def _settle(self, outbox: Outbox, sent: Sent, spent: int, heights: Heights) -> None:
        attempts = outbox.attempts(sent.nonce)
        best, view = attempts[0][0], self._chain.view(attempts[0][0], heights)
        for name, _, _ in attempts[1:]:
            other = self._chain.view(name, heights)
            if view.seen.executed is None and other.seen.executed is not None:
                best, view = name, other
        state = settlement.state(view.seen, self._terms.depth)
        if state is State.UNKNOWN and sent.nonce < spent:
            self._search(outbox, sent, heights)
            return
        changed = (str(state), best, view.seen.executed) != (sent.state, sent.hash, sent.executed)
        if changed:
            self._note_change(sent, state, best, view.seen.executed)
        if changed or state is State.SAFE:
            with outbox.transaction():
                outbox.update(sent, str(state), best, view.seen.executed, view.fee, self._clock())
        if state is State.UNKNOWN:
            self._send(outbox, sent.nonce, attempts[0][2])
        elif state is State.ACCEPTED:
            self._raise_price(outbox, sent, attempts[0][1])

    def _note_change(
        self, sent: Sent, state: State, name: bytes, executed: Executed | None
    ) -> None:
        block = executed.number if executed else None
        before = sent.executed
        facts = {"nonce": sent.nonce, "hash": f"0x{name.hex()}", "state": str(state)}
        if before is None or executed is None or before.block == executed.block:
            lost = before is not None and executed is None
            log.info("vanished" if lost else "transaction", **facts, block=block)
        else:
            log.warning("moved to another block", **facts, block=block, before=before.number)

    def _send(self, outbox: Outbox, nonce: int, raw: bytes) -> None:
        """Rule 1."""
        with outbox.transaction():
            outbox.count_sending(nonce)
        answer = self._chain.send(raw)
        if answer:
            log.info("not taken", nonce=nonce, reason=answer)

    def _search(self, outbox: Outbox, sent: Sent, heights: Heights) -> None:
        """Rule 2: the nonce is spent and the node does not know our transaction. A node may have
        lost its index; only the block that holds the nonce says what became of it.
        """
        start = self._searched.get(sent.nonce, sent.height)
        end = min(heights.latest, start + bounds.SEARCH_BLOCKS)
        ours = {name for name, _, _ in outbox.attempts(sent.nonce)}
        for number in range(start, end + 1):
            for nonce, name in self._chain.sent_by(self._payer.address, number):
                if nonce != sent.nonce:
                    continue
                if name in ours:
                    return  # it stands there; the node's index will come back
                # what has just been executed may yet lose its place
                safe = heights.safe
                if number > (heights.latest - self._terms.depth if safe is None else safe):
                    return
                log.error(
                    "lost: another transaction spent its nonce",
                    nonce=nonce,
                    other=f"0x{name.hex()}",
                    hint="use the bridge's key for nothing else",
                )
                with outbox.transaction():
                    outbox.update(sent, LOST, sent.hash, None, None, self._clock())
                return
        # what the newest blocks hold may change: they are looked at again
        self._searched[sent.nonce] = end if end < heights.latest else start
        self._say(outbox, f"nonce {sent.nonce} is spent, by which transaction is not known yet")

    def _raise_price(self, outbox: Outbox, sent: Sent, paid: int) -> None:
        """Rule 3."""
        now = int(self._clock())
        if now - sent.signed < bounds.STUCK_S * len(outbox.attempts(sent.nonce)):
            return
        more, of = bounds.RAISE
        price = max(self._chain.price(), -(-paid * more // of))
        note = outbox.note(sent.digest)
        gas = self._chain.gas(self._payer.address, calldata(note.text))
        if budget.interval_s(price * gas, self._terms.budget) > bounds.DAY_S:
            return
        made = self._payer.sign(note.text, outbox.chain, sent.nonce, price, gas)
        with outbox.transaction():
            outbox.add_attempt(sent.nonce, made.hash, made.raw, price)
        log.warning("offering more", nonce=sent.nonce, hash=f"0x{made.hash.hex()}", price=price)
        self._send(outbox, sent.nonce, made.raw)

    # ---- what is next

    def _post(self, outbox: Outbox, heights: Heights) -> None:
        price = self._chain.price()
        gas = self._chain.gas(self._payer.address, calldata(""))
        cost, balance = price * gas, self._chain.balance(self._payer.address)
        self._tell(outbox, cost, balance)
        if cost > self._terms.budget:
            self._say(
                outbox,
                f"an anchor costs {budget.coins(cost)}, more than a day's budget",
                hint="raise --budget, or wait until the price falls",
            )
            return
        for _ in range(bounds.IN_FLIGHT):
            now = int(self._clock())
            in_flight = outbox.in_flight()
            if in_flight >= bounds.IN_FLIGHT or self._wait_s(outbox, cost, now) > 0:
                break
            with outbox.transaction():
                for note in self._newest():
                    outbox.add_note(note, now)
            candidates = outbox.candidates()
            if not candidates:
                break
            if balance < cost * (in_flight + 1):
                self._say(
                    outbox,
                    f"the account {outbox.account} holds {budget.coins(balance)}, too little",
                    hint="send it coins; what waits is posted then",
                )
                return
            self._sign(outbox, candidates[0], price, gas, now, heights.latest)
        self._say(outbox, "")

    def _wait_s(self, outbox: Outbox, cost: int, now: int) -> float:
        """Rule 6: seconds until the next may be signed."""
        return budget.wait_s(
            now=now,
            last=outbox.last_signed(),
            spent=outbox.spent(now - bounds.DAY_S, cost),
            cost=cost,
            budget=self._terms.budget,
        )

    def _tell(self, outbox: Outbox, cost: int, balance: int) -> None:
        """For `status`, now and then."""
        now = self._clock()
        if now < self._next_facts:
            return
        self._next_facts = now + bounds.FACTS_S
        every = budget.interval_s(cost, self._terms.budget)
        outbox.set_facts(
            cost=str(cost),
            balance=str(balance),
            budget=str(self._terms.budget),
            interval_s=round(every, 1),
            looked=int(now),
        )
        if cost != self._told_cost:
            self._told_cost = cost
            log.info(
                "costs",
                anchor=budget.coins(cost),
                budget_a_day=budget.coins(self._terms.budget),
                one_every_s=round(every, 1),
            )

    def _sign(
        self, outbox: Outbox, note: Note, price: int, gas: int, now: int, height: int
    ) -> None:
        """Rule 1: kept first, then sent."""
        nonce = outbox.next_nonce
        if nonce is None:
            return
        made = self._payer.sign(note.text, outbox.chain, nonce, price, gas)
        with outbox.transaction():
            outbox.add_transaction(note, nonce, made.hash, made.raw, price, now, height)
        log.info(
            "posted",
            nonce=nonce,
            hash=f"0x{made.hash.hex()}",
            origin=note.origin,
            size=note.size,
            cost=budget.coins(price * gas),
        )
        self._send(outbox, nonce, made.raw)
