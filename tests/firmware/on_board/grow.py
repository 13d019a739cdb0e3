"""Sign events for ever, and print `signed <seq>` after each one; to be killed at any moment.

The working directory is the board's flash. Argument: `once` ends after the start.
"""

import sys

from tally import birth, hal, keys, record
from tally.chain import Chain
from tally.head import Head
from tally.journal import Journal

store = hal.nvs()
key = keys.load(store) or birth.make(store)
chain = Chain(store, key, Head(store), Journal(), 1 << 20)
if chain.head.next is None and sys.argv[-1] != "once":
    chain.begin()
print("key", key.public.hex())
print("start", chain.head.next, chain.journal.first, chain.journal.last, chain.gone, chain.halted)
while sys.argv[-1] != "once":
    seq = chain.sign(record.event, 1790000000, 99, (bytes(chain.head.next * 7 % 600),))
    print("signed", seq)
