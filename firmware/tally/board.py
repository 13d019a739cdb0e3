"""The board as a whole: what it holds from start to power-off, and how it comes up.

Rules
* `Board()` makes the key if the board has none, and refuses to come up with a key that it cannot trust.
* A fault of the key, the settings or the storage is a state that the console can tell, not a crash.
* `log` lines start with `# `: they never look like an answer of the console.
"""

from tally import cose, hal, keys, once, unload
from tally.clock import Clock
from tally.config import Config
from tally.head import Head
from tally.journal import Journal
from tally.trust import Trust

_BOOTS = "boots"


class Board:
    """store, config, clock, key, trust, chain: see their modules. device: id of 8 bytes. boots: count of starts."""

    def __init__(self):
        from tally.chain import Chain

        self.store = hal.nvs()
        self.config = Config()
        if self.config["key"] == "flash" and not hal.blob(self.store, "sim", 33):
            key = keys.load(self.store)
        else:
            from modem import card

            key = card.load(self.store, self.config, self.log)
        if key is None:
            self.log("no key yet: making one")
            key = once("birth", "make", self.store)
        self.boots = hal.number(self.store, _BOOTS)
        if not hal.woken():  # a wake-up is no start, and costs no flash
            self.boots += 1
            self.store.set_i32(_BOOTS, self.boots)
            self.store.commit()
        self.clock = Clock(self.store, self.config, self.log)
        self.trust = Trust(self.store)
        limit = self.config["journal_kib"] * 1024
        chain = Chain
        if key.alg != cose.ED25519:
            from modem.chain import CardChain

            chain = CardChain
        self.chain = chain(self.store, key, Head(self.store), Journal(), limit)
        self._digest = None
        if hal.blob(self.store, keys.NEXT, keys.NEXT_BYTES):
            once("rotation", "resume", self)
            unload("birth", "uplink")
        first = hal.blob(self.store, keys.DEVICE, 8)
        self.device = bytes(first) if first else self.key.kid

    @property
    def key(self):
        """The key in force."""
        return self.chain.key

    def log(self, text):
        print("# " + text)

    def digest(self):
        """The agent digest; read once, because files do not change under a running agent."""
        if self._digest is None:
            self._digest = once("identity", "digest")
        return self._digest

    def fingerprint(self):
        """(fingerprint, salt) over the identifiers of the hardware."""
        return once("identity", "fingerprint", self.store)
