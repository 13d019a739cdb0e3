"""Sign large events into a journal of three segments until 1,000 are signed; print the seqs that are kept.

Argument: the seq up to which a gateway has acknowledged, from the start on (-1: nothing).
"""

import sys

from tally import birth, hal, record
from tally.chain import Chain
from tally.head import Head
from tally.journal import SEGMENT_BYTES, Journal

store = hal.nvs()
key = birth.make(store)
print("key", key.public.hex())
chain = Chain(store, key, Head(store), Journal(), 3 * SEGMENT_BYTES)
chain.begin()
chain.upto = int(sys.argv[-1])
pruned = []
while chain.head.next < 1000:
    seq = chain.sign(record.event, 1790000000, 99, (bytes(400),))
    chain.make_room(1790000000)
    for other in range(seq + 1, chain.head.next):
        data = chain.journal.read(other)
        print("event", other, bytes(data).hex())
print("kept", chain.journal.first, chain.journal.last)
print("readable", sum(chain.journal.read(seq) is not None for seq in range(1000)))
