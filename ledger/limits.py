"""What an outsider can make the node hold, read or answer, in one place.

The limits of the formats themselves (bytes of a block, parents, notes) are those of `tallystick.limits`.
"""

from __future__ import annotations

from typing import Final

PENDING_BLOCKS: Final = 4_096  # attached and not confirmed; more are rejected with `ledger.full`
TIPS: Final = 8  # hashes in the `tips` topic
MILESTONES_A_TICK: Final = 256  # so that many tips (3 a milestone) are not left behind

INBOX_MESSAGES: Final = 256  # from the broker, waiting for the writer; then the broker waits
BATCH_MESSAGES: Final = 64  # committed together
OUTBOX_MESSAGES: Final = 4_096  # to the broker, not acknowledged yet; more wait in the database
RECEIPTS_AT_ONCE: Final = 256  # confirmed receipts on their way to the broker
GATEWAY_KEYS: Final = 1_024  # learnt from grants
ANCHOR_TOPICS: Final = 1_024  # gateways whose newest anchor is published again at each connection

EXPORT_BLOCKS: Final = 1_024  # in one answer
STATEMENTS: Final = 256  # in one answer; ask again with `from`
ANSWER_BYTES: Final = 4 * 2**20  # after which an answer takes no further block
HTTP_CONNECTIONS: Final = 64
