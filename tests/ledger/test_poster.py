"""The thread that pays, against a simulated ledger that does what no real one can be brought to.

If this fails, a site pays twice, pays more than it said, or waits for ever for a transaction that can never be.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import transaction
from tallystick.account import State
from tallystick.checkpoint import gateway_name, text
from tallystick_ledger.bridge import bounds, budget, libraries
from tallystick_ledger.bridge.outbox import LOST, Note, Outbox
from tallystick_ledger.bridge.payer import Payer
from tallystick_ledger.bridge.poster import Poster, Terms
from tallystick_ledger.errors import LedgerError
from tests.ledger.fake_chain import GAS, FakeChain
from tests.ledger.site import gateway_key

COST = GAS * 10**9
NOW = 1_800_000_000


def note(size: int, gateway: int = 1, root: int = 0) -> Note:
    """A checkpoint to post."""
    origin = gateway_name(gateway_key(gateway).public)
    said = text(origin, size, (root or size).to_bytes(32, "big"))
    return Note(transaction.calldata(said)[4:], origin, size, said)


class Site:
    """A poster, its database, the ledger, and a clock."""

    def __init__(self, folder: Path, outbox: Outbox, payer: Payer) -> None:
        self.database, self.outbox, self.payer = folder / "bridge.db", outbox, payer
        self.chain = FakeChain(payer)
        self.now = float(NOW)
        self.followed: list[Note] = []
        self.terms = Terms(budget=10**21)
        self.poster = self.restart()

    def restart(self) -> Poster:
        """A new process over the same database."""
        self.poster = Poster(
            *(self.database, self.payer, self.chain, self.terms, threading.Event()),
            newest=lambda: self.followed,
            clock=lambda: self.now,
        )
        return self.poster

    def turn(self, seconds: float = 1.0) -> None:
        """Time passes, and the poster looks."""
        self.now += seconds
        self.poster.turn(self.outbox)

    def add(self, one: Note) -> Note:
        """A gateway submits it."""
        with self.outbox.transaction():
            self.outbox.add_note(one, int(self.now))
        return one

    def state(self, one: Note) -> str | None:
        """Where its transaction stands."""
        sent = self.outbox.transaction_of(one.digest)
        return None if sent is None else sent.state

    def hash(self, one: Note) -> bytes:
        """Of its transaction."""
        sent = self.outbox.transaction_of(one.digest)
        assert sent is not None
        return sent.hash


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A new bridge."""
    payer = Payer.create(tmp_path / "payer.key")
    Outbox.create(tmp_path / "bridge.db", 2222, payer.key)
    with Outbox.open(tmp_path / "bridge.db") as outbox:
        yield Site(tmp_path, outbox, payer)


def test_from_note_to_safe(site: Site) -> None:
    """Nothing would be posted, or called safe too early."""
    one = site.add(note(5))
    site.turn()
    assert "unknown" == site.state(one)
    site.turn()
    assert "accepted" == site.state(one)
    (raw,) = site.chain.sent
    assert transaction.calldata(one.text) == transaction.signed(raw, site.payer.key).data
    site.chain.mine(site.hash(one))
    site.turn()
    assert "executed" == site.state(one)
    site.chain.mine(count=3)
    site.turn()
    assert "safe" == site.state(one)
    assert 1 == len(site.chain.sent)
    assert COST == site.outbox.spent(0, 0)


def test_lost_by_the_node_it_is_sent_again_as_it_was(site: Site) -> None:
    """A transaction that a node forgot would be signed anew: the old one may still be somewhere."""
    one = site.add(note(5))
    site.turn()
    site.chain.forget_pool()
    site.restart()
    site.turn()
    site.turn()
    assert 2 == len(site.chain.sent)
    assert 1 == len(set(site.chain.sent))
    assert "accepted" == site.state(one)


def test_a_block_that_loses_its_place(site: Site) -> None:
    """What stood in a block that is gone would count as there."""
    one = site.add(note(5))
    site.turn()
    name = site.hash(one)
    site.chain.mine(name, count=4)
    site.turn()
    assert "safe" == site.state(one)
    site.chain.blocks = [[], [], []]
    site.turn(bounds.REVISIT_S + 1)
    # gone from every block: the same bytes again
    site.turn()
    assert ("accepted", 1) == (site.state(one), len(set(site.chain.sent)))
    site.chain.mine(name, count=9)
    site.turn()
    assert ("safe", name) == (site.state(one), site.hash(one))
    assert 1 <= site.outbox.moves()[0]


def test_a_whole_ledger_that_starts_again(site: Site) -> None:
    """Everything that was paid would be gone for good; it is sent again, in the order of its nonces."""
    notes = [site.add(note(1, gateway)) for gateway in (1, 2, 3)]
    site.turn()
    names = [site.hash(one) for one in notes]
    site.chain.mine(*names, count=9)
    site.turn()
    assert ["safe"] * 3 == [site.state(one) for one in notes]
    site.chain.blocks, site.chain.pool = [[]], {}
    before = len(site.chain.sent)
    site.turn()
    assert [0, 1, 2] == [
        transaction.signed(raw, site.payer.key).nonce for raw in site.chain.sent[before:]
    ]
    assert len(set(site.chain.sent)) == 3


def test_an_index_that_is_gone_is_no_reason_to_pay_again(site: Site) -> None:
    """A restarted node that lost its index says it knows nothing: the bridge would pay for the anchor twice."""
    one = site.add(note(5))
    site.turn()
    name = site.hash(one)
    site.chain.mine(name, count=9)
    site.chain.hidden.add(name)
    for _ in range(5):
        site.turn()
    assert (1, 1) == (len(set(site.chain.sent)), site.outbox.next_nonce)
    assert LOST != site.state(one)
    site.chain.hidden.clear()
    site.turn()
    assert "safe" == site.state(one)


def test_a_nonce_that_somebody_else_spent(site: Site) -> None:
    """The anchor would never be posted; or be posted again before that is certain."""
    one = site.add(note(5))
    site.turn()
    site.chain.forget_pool()
    site.chain.spend(0)
    site.turn()
    assert 1 == site.outbox.next_nonce  # that block may yet lose its place
    site.chain.mine(count=5)
    site.turn()
    site.turn()
    again = site.outbox.transaction_of(one.digest)
    assert again is not None
    assert (1, "unknown") == (again.nonce, again.state) or again.state == "accepted"
    assert 1 == site.outbox.counts()[LOST]
    site.chain.mine(again.hash, count=5)
    site.turn()
    assert "safe" == site.state(one)


def test_a_key_that_is_used_elsewhere(site: Site) -> None:
    """An old copy of the folder would pay for everything again."""
    site.turn()
    assert 0 == site.outbox.next_nonce
    site.chain.spend(0)
    one = site.add(note(5))
    site.turn()
    site.turn()
    assert ([], None) == (site.chain.sent, site.state(one))
    assert "has sent 1 transactions, this folder knows of 0" in site.outbox.fact("trouble")
    site.terms = Terms(budget=10**21, adopt_nonce=True)
    site.restart()
    site.turn()
    assert 1 == transaction.signed(site.chain.sent[0], site.payer.key).nonce


def test_an_account_with_a_past(site: Site) -> None:
    """A key that was used before could not be given to a bridge."""
    site.chain.spend(0)
    site.chain.spend(1)
    site.add(note(5))
    site.turn()
    assert 2 == transaction.signed(site.chain.sent[0], site.payer.key).nonce


def test_a_price_that_no_block_takes(site: Site) -> None:
    """Stuck behind a price that has risen; or paid twice, under two nonces."""
    one = site.add(note(5))
    site.turn()
    site.turn(bounds.STUCK_S - 10)
    assert 1 == len(site.chain.sent)
    site.chain.gas_price *= 3
    site.turn(20)
    assert 2 == len(set(site.chain.sent))
    first, second = (transaction.signed(raw, site.payer.key) for raw in site.chain.sent)
    assert (first.nonce, first.data) == (second.nonce, second.data)
    assert second.hash == site.hash(one)
    # whichever a block takes is the one that counts
    site.chain.mine(first.hash, count=9)
    site.chain.pool.clear()
    site.turn()
    assert ("safe", first.hash) == (site.state(one), site.hash(one))
    reference = site.outbox.reference(one.digest)
    assert reference is not None
    assert first.hash == reference.hash


def test_a_day_costs_what_was_said(site: Site) -> None:
    """An operator would pay more than the budget, or less would be anchored than it allows."""
    site.terms = Terms(budget=COST * 10)  # ten a day
    site.restart()
    every = budget.interval_s(COST, site.terms.budget)
    assert 8640.0 == every
    size, end = 0, NOW + bounds.DAY_S
    while site.now < end:
        size += 1
        site.add(note(size))
        site.turn(600)
        while site.chain.pool:
            site.chain.mine(next(iter(site.chain.pool)), count=5)
    assert 9 <= len(site.chain.sent) <= 10
    # what was not posted is covered by what was
    counts = site.outbox.counts()
    assert size == counts["covered"] + counts["waiting"] + len(site.chain.sent)
    assert COST * 10 >= site.outbox.spent(int(site.now) - bounds.DAY_S, COST)


def test_a_price_above_the_budget(site: Site) -> None:
    """A day's whole budget and more would go into one anchor."""
    site.terms = Terms(budget=COST - 1)
    site.restart()
    site.add(note(5))
    site.turn()
    assert [] == site.chain.sent
    assert "more than a day's budget" in site.outbox.fact("trouble")
    site.chain.gas_price //= 2
    site.turn()
    assert 1 == len(site.chain.sent)
    site.turn()
    assert "" == site.outbox.fact("trouble")


def test_an_empty_account(site: Site) -> None:
    """Signed and refused again and again; or waiting without a word."""
    site.chain.coins = COST - 1
    one = site.add(note(5))
    site.turn()
    assert ([], None) == (site.chain.sent, site.state(one))
    assert "too little" in site.outbox.fact("trouble")
    site.chain.coins = COST
    site.turn()
    assert 1 == len(site.chain.sent)


def test_the_newest_of_a_log_goes_first(site: Site) -> None:
    """With a small budget a log's old checkpoints would be paid for one by one, behind the time."""
    old, new, other = site.add(note(3)), site.add(note(9)), site.add(note(1, 2))
    site.turn()
    assert (None, "unknown", "unknown") == (site.state(old), site.state(new), site.state(other))
    assert new.digest == site.outbox.covered(old.digest)
    assert site.outbox.covered(new.digest) is None


def test_two_roots_of_one_size_are_both_posted(site: Site) -> None:
    """The evidence that a gateway shows two histories would be dropped as covered."""
    one, other = site.add(note(4, root=1)), site.add(note(4, root=2))
    site.turn()
    assert ("unknown", "unknown") == (site.state(one), site.state(other))


def test_a_ledger_that_is_followed(site: Site) -> None:
    """Each of its milestones would be kept, and paid for."""
    for size in (10, 20, 30):
        site.followed = [note(size, 5)]
        site.turn(0.0)
    assert ["unknown", None, None] != [site.state(note(size, 5)) for size in (10, 20, 30)]
    site.terms = Terms(budget=COST)
    site.restart()
    posted = len(site.chain.sent)
    for size in range(40, 400, 10):
        site.followed = [note(size, 5)]
        site.turn(60)
    assert posted == len(site.chain.sent)
    assert 0 == site.outbox.counts()["waiting"]


def test_another_chain(site: Site) -> None:
    """Coins of another chain would be spent, and receipts name one that they are not on."""
    site.chain.id = 1
    with pytest.raises(LedgerError, match="serves chain 1"):
        site.turn()


def test_a_node_that_is_gone(site: Site) -> None:
    """The bridge would end with it, or lose what comes meanwhile."""
    one = site.add(note(5))
    site.chain.down = True
    site.turn()
    assert "no answer" == site.outbox.fact("trouble")
    site.chain.down = False
    site.turn()
    assert 1 == len(site.chain.sent)
    assert State(site.state(one) or "") is State.UNKNOWN


@pytest.mark.parametrize("amount", ["", "x", "0", "-1", "nan", "inf", "1e99"])
def test_what_is_no_budget(amount: str) -> None:
    """A mistyped amount would be spent."""
    with pytest.raises(LedgerError, match="not an amount"):
        budget.units(amount)


def test_amounts() -> None:
    """An operator would read another amount than was spent."""
    assert 5 * 10**17 == budget.units("0.5")
    assert ("0.00046896", "12") == (budget.coins(468_960_000_000_000), budget.coins(12 * 10**18))
    assert 2_000_000 == budget.per_million(20, 10)
    assert budget.per_million(20, 0) is None


def test_libraries_leave_the_interpreter_as_it_was() -> None:
    """A node's deeply nested answer would end the process with a fault of the machine."""
    before = sys.getrecursionlimit()
    libraries.load()
    assert before == sys.getrecursionlimit()
    script = (
        "import sys; from tallystick_ledger.bridge import libraries; libraries.load();"
        "print(sys.getrecursionlimit())"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert int(shown) <= 1000
