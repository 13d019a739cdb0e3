"""A simulator: an EVM-speaking ledger as its node answers, in memory, where a test says what happens.

It is no ledger: it checks no signature, and blocks are made when a test asks for one. It stands where no real
node can be brought to it: a nonce spent by somebody else, a price that no block takes, an index that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tallystick import transaction
from tallystick.settlement import Executed, Seen
from tallystick_ledger.bridge.evm import Heights, NodeError, View
from tallystick_ledger.bridge.payer import Payer

__all__ = ["FakeChain"]

GAS = 23_448


@dataclass
class FakeChain:
    """`pool`: waiting bytes by hash. `blocks`: hashes in each. `hidden`: hashes that its index has lost."""

    payer: Payer
    id: int = 2222
    gas_price: int = 10**9
    coins: int = 10**21
    pool: dict[bytes, bytes] = field(default_factory=dict)
    blocks: list[list[bytes]] = field(default_factory=lambda: [[]])
    known: dict[bytes, int] = field(default_factory=dict)  # nonces by hash
    hidden: set[bytes] = field(default_factory=set)
    safe_depth: int = 3
    down: bool = False
    sent: list[bytes] = field(default_factory=list)

    # ---- what the node is asked

    def chain(self) -> int:
        """The id that it serves."""
        self._up()
        return self.id

    def price(self) -> int:
        """For one gas."""
        self._up()
        return self.gas_price

    def gas(self, address: bytes, data: bytes) -> int:
        """For one transaction."""
        self._up()
        return GAS

    def balance(self, address: bytes) -> int:
        """What the account holds."""
        self._up()
        return self.coins

    def spent(self, address: bytes) -> int:
        """How many it has executed."""
        self._up()
        return sum(map(len, self.blocks))

    def heights(self) -> Heights:
        """The newest block, and the newest that is safe."""
        self._up()
        latest = len(self.blocks) - 1
        return Heights(latest, max(0, latest - self.safe_depth), 0)

    def send(self, raw: bytes) -> str:
        """Take signed bytes into the pool."""
        self._up()
        sent = transaction.signed(raw, self.payer.key)
        self.sent.append(raw)
        if sent.nonce < self.spent(b""):
            return "nonce too low"
        self.pool[sent.hash] = raw
        self.known[sent.hash] = sent.nonce
        return ""

    def view(self, name: bytes, heights: Heights) -> View:
        """What it knows of a transaction."""
        self._up()
        at = next((n for n, block in enumerate(self.blocks) if name in block), None)
        if name in self.hidden or (at is None and name not in self.pool):
            return View(self._seen(heights, known=False))
        if at is None:
            return View(self._seen(heights, known=True))
        taken = Executed(at, at.to_bytes(32, "big"), 1_800_000_000 + at, True)
        return View(self._seen(heights, known=True, executed=taken), GAS * self.gas_price)

    def sent_by(self, address: bytes, number: int) -> list[tuple[int, bytes]]:
        """What the account has in a block."""
        self._up()
        return [(self.known[name], name) for name in self.blocks[number]]

    # ---- what a test does to it

    def mine(self, *names: bytes, count: int = 1) -> None:
        """A block with these transactions, then empty ones."""
        for name in names:
            self.pool.pop(name, None)
        self.blocks.append(list(names))
        self.blocks += [[] for _ in range(count - 1)]

    def spend(self, nonce: int) -> bytes:
        """Somebody else with the key spends a nonce; the hash of what did."""
        other = self.payer.sign("somebody else's", self.id, nonce, self.gas_price, GAS)
        self.known[other.hash] = nonce
        self.mine(other.hash)
        return other.hash

    def forget_pool(self) -> None:
        """The node is restarted."""
        self.pool.clear()

    def _seen(self, heights: Heights, *, known: bool, executed: Executed | None = None) -> Seen:
        return Seen(self.id, known, executed, heights.latest, heights.safe, heights.final)

    def _up(self) -> None:
        if self.down:
            raise NodeError("no answer", answered=False)
