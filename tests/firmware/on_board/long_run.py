"""The whole agent, connected, in a small heap: measures as fast as it can until enough records are signed.

Arguments: records, port of the broker, owner's key and grant in hex.
Prints `key HEX`, then `free SEQ BYTES` now and then.
"""

import gc
import sys

count, port, owner, grant = sys.argv[-4:]
from tally import hal
from tally.agent import Agent
from tally.board import Board
from tally.console import Console
from tally.owner import pin

LAST = int(count)
EVERY = LAST // 8
board = Board()
agent = Agent(board)
console = Console(board, agent, None)
board.config.set(
    broker_host="127.0.0.1", broker_port=int(port), net="none", interval_ms=100, watchdog_s=0
)
pin(board.trust, bytes.fromhex(owner))
board.trust.accept(bytes.fromhex(grant))
board.chain.begin()
print("key", board.key.public.hex())

_now = [0]


def hurry(begin=None):
    _now[0] += 101
    return _now[0]


hal.uptime_ms = hurry
agent.start()
gc.collect()
gc.threshold(16384)
told = -1
while board.chain.upto < LAST:
    if board.chain.queue() < 40:
        agent.step()
    else:
        agent.link.poll()
        agent._publisher.publish()
    if board.chain.upto // EVERY > told:
        told = board.chain.upto // EVERY
        gc.collect()
        print("free", board.chain.upto, gc.mem_free())
