"""Every size, count and time of the gateway that an outsider could drive up, in one place.

Sizes of the formats themselves stand in `tallystick.limits`. Bytes unless the name says otherwise.
"""

from __future__ import annotations

from typing import Final

INBOX_MESSAGES: Final = 4_096  # received, not yet in a transaction
INBOX_BYTES: Final = 16 * 2**20
PACKET_BYTES: Final = 2**20  # of an MQTT packet that the broker may send us
OUTBOX_MESSAGES: Final = 20_000  # published, not taken by the broker yet
BATCH_MESSAGES: Final = 512  # in one transaction
INDEX_TAIL: Final = 32_768  # newest leaves that are in memory and in no page of the index yet
QUARANTINE_ROWS: Final = 10_000  # rejected messages kept, of all senders together
QUARANTINE_BYTES: Final = 16 * 2**20
QUARANTINE_PREFIX: Final = 256  # of a message that is too long to look into
TOPIC_CHARACTERS: Final = 256  # of a topic, where one is kept
DETAIL_CHARACTERS: Final = 512
KEPT_MESSAGES_S: Final = 50.0  # rejected messages kept a second, over time
KEPT_MESSAGES: Final = 2_000  # at once
DEVICE_RECORDS_S: Final = 50.0  # new records of one device, over time
DEVICE_RECORDS: Final = 20_000  # at once: a board comes back with its backlog
DEVICE_BYTES_S: Final = 16_384.0
DEVICE_BYTES: Final = 8 * 2**20
DEVICE_PENDING: Final = 10_000  # records of one device above a gap
EVIDENCE_RECORDS: Final = 1_024  # forks and disowned records logged for one device
ENROLMENT_BYTES: Final = 64 * 2**20
CONFIGURATION_BYTES: Final = 2**20
HIGH_WATER_BYTES: Final = 2**20
NONCES: Final = 8  # of the newest acknowledgements to one device
TIPS_BYTES: Final = 4_096
PENDING_ANCHORS: Final = 8
MILESTONES: Final = 10_000  # newest ones kept, besides those that a record names
CHECKPOINTS: Final = 1_000  # newest ones kept; anchored ones live on in their anchors
PROOF_RECORDS: Final = 100_000  # in one proof file
FOLLOWED_LEAVES: Final = 500  # handed to the adapters at a time
PUBLICATION_BYTES: Final = 65_536  # of an adapter
HTTP_PROOF_RECORDS: Final = 10_000  # in one proof file that is asked for over HTTP
HTTP_ROWS: Final = 1_000  # in one answer
HTTP_CONNECTIONS: Final = 64
HTTP_STREAMS: Final = 24  # of /events at once
HTTP_STREAM_S: Final = 3_600  # then the browser comes again
PLOT_RECORDS: Final = 2_000  # readings records in one plot, the newest
PLOT_MARKS: Final = 200  # reboots and events in one plot, the newest

ACK_INTERVAL_S: Final = 1.0  # docs/format.md, section 6: at most one a second for a device
ACKS_AT_ONCE: Final = 256  # then messages have their turn
REJECTED_INTERVAL_S: Final = 1.0  # the same for `rejected`
RESUBMIT_S: Final = 30.0  # a pending anchor is shown to the ledger again, then after twice as long
RESUBMIT_MOST_S: Final = 3_600.0
REBUILD_S: Final = 2.0  # a rejected anchor is built anew, at the earliest
STATE_INTERVAL_S: Final = 30.0
RETRY_S: Final = 1.0  # after a failed transaction
ANSWERS: Final = 256  # to commands, heard and not looked at
ANSWER_BYTES: Final = 1_024
COUNTER_DIGITS: Final = 20  # in a file
UPDATES: Final = 8  # update files kept
UPDATES_COMING: Final = 2  # update files held in memory until all of them is here
OFFER_BYTES: Final = 2**20
