"""What an outsider can make the node hold, read or answer, in one place.

The limits of the formats themselves (bytes of a block, parents, notes) are those of `tallystick.limits`.
"""

from __future__ import annotations

from typing import Final

PENDING_BLOCKS: Final = 4_096  # attached and not confirmed; more are rejected with `ledger.full`
PRESSURE_BLOCKS: Final = 1_024  # so many pending, and a milestone is made before its time
MILESTONES_A_TICK: Final = 256  # so that many tips (3 a milestone) are not left behind
ROUND_S: Final = 1.0  # the least time of a round, however short the interval is
RECENT_BLOCKS: Final = (
    65_536  # confirmed blocks whose round is held in memory; older ones are looked up
)

WRITER_RATE: Final = 1_000.0  # blocks a second of one known writer
STRANGER_RATE: Final = 100.0  # blocks a second of all others together
BURST_S: Final = 10.0  # an allowance fills up to what that long brings
WRITERS: Final = 4_096  # known writers whose allowance is remembered
ALLOW_LIST_BYTES: Final = 2**20

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
PAGE_BLOCKS: Final = 400  # in one answer to the page

HISTORY_BLOCKS: Final = 512  # in one answer over MQTT
HISTORY_BYTES: Final = 2**18  # after which such an answer takes no further block
ANSWERS_A_SECOND: Final = 100  # to all who ask; who gets none asks again
BUFFERED_BLOCKS: Final = 8_192  # that a following node holds until a milestone confirms them
BUFFERED_MILESTONES: Final = 4_096

COSIGNED_WITHIN: Final = (
    10_000  # milestones after an anchor's, among which a cosigned one is looked for
)
WITNESS_ANSWER_BYTES: Final = 65_536
WITNESS_S: Final = 10.0  # for one request
WITNESS_ANSWERS: Final = 1_024  # waiting for the writer
