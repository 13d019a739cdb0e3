"""The chain of a key that is in a SIM card, which may have been in another board meanwhile.

Rules
* After a power cut nothing is signed until the gateway has said that the head of this board is still that of the chain:
  the card may have gone on elsewhere, and a second record with one seq would brand it for good. Records that wait are
  published meanwhile; they are what the gateway answers to.
* A reset, a wake-up, a hang are no power cut: nobody changes a card without one.
"""

import machine
from tally.chain import Chain

_WHY = "the SIM card may have been in another board: waiting for the gateway's word"


class CardChain(Chain):
    """See Chain. doubt: whether that word is waited for; `halted` says so, too."""

    def __init__(self, *arguments):
        Chain.__init__(self, *arguments)
        following = self.head.next
        if self.halted or not following or machine.reset_cause() != machine.PWRON_RESET:
            return
        self.doubt = True
        self.halted = _WHY
        if self.journal.last == following - 1:
            self.upto = min(self.upto, following - 2)  # there is one that can be published

    def acknowledge(self, told):
        if self.doubt and told.upto is not None:
            self.doubt = False
            self.halted = None
        return Chain.acknowledge(self, told)

    def settle(self):
        return not self.doubt and Chain.settle(self)
