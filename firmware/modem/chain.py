"""The chain of a key that is in a SIM card, which may have been in another board meanwhile.

Rules
* After the card was away nothing is signed until the gateway has said that the head of this board is still that of the
  chain: the card may have gone on elsewhere, and a second record with one seq would brand it for good. Records that
  wait are published meanwhile; they are what the gateway answers to.
* Whether it was away says the card (modem/card.py): an applet that is still where this board left it has had power all
  the time, over resets and deep sleeps of the board, too.
"""

from tally.chain import Chain, Unsigned

_WHY = "the SIM card may have been in another board: waiting for the gateway's word"


class CardChain(Chain):
    """See Chain. doubt: whether that word is waited for; `halted` says so, too."""

    def __init__(self, *arguments):
        Chain.__init__(self, *arguments)
        if not self.halted and self.head.next and not self.key.stayed:
            self._doubt()

    def _doubt(self):
        following = self.head.next
        self.doubt = True
        self.halted = _WHY
        if self.journal.last == following - 1:
            self.upto = min(self.upto, following - 2)  # there is one that can be published

    def sign(self, *arguments):
        try:
            return Chain.sign(self, *arguments)
        except Unsigned:
            if self.key.away:
                self.key.away = False
                if self.head.next:
                    self._doubt()
            raise

    def acknowledge(self, told):
        if self.doubt and told.upto is not None:
            self.doubt = False
            self.halted = None
        return Chain.acknowledge(self, told)

    def settle(self):
        return not self.doubt and Chain.settle(self)
