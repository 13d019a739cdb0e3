"""Sizes and times that an outsider controls, beyond those of `tallystick.limits`.

Bytes, seconds or counts, as the name says.
"""

from __future__ import annotations

from typing import Final

CONSOLE_LINE_BYTES: Final = 65_536  # one line of a board
CONSOLE_NOISE_BYTES: Final = (
    1_048_576  # lines that are no answer, between a question and its answer
)
CONSOLE_ANSWER_S: Final = 15.0  # an Ed25519 signature takes a board one to two seconds
CONSOLE_START_S: Final = 30.0  # after a reset; a first start makes the key
CARD_START_S: Final = 90.0  # of a board that switches its modem on first, and asks its SIM card
VIRTUAL_START_S: Final = 120.0  # compiles the agent first

ENROLMENT_BYTES: Final = 64 * 2**20  # some 60,000 devices
GRANTS_BYTES: Final = 2**20
KEY_FILE_BYTES: Final = 16_384
DEVICE_NAME_CHARS: Final = 64

HTTP_TIMEOUT_S: Final = 30.0  # without a byte
HTTP_ERROR_BYTES: Final = 4_096  # of an answer that is an error
DEVICES_BYTES: Final = 2**20  # one answer of a gateway: up to 1,000 boards
STATEMENTS_BYTES: Final = 16 * 2**20
TIPS_BYTES: Final = 2**20  # a ledger's unconfirmed tips
COSIGNED_BYTES: Final = 32_768  # a checkpoint with its witnesses, and a path
EXPORT_BYTES: Final = 16 * 2**20  # one answer with a ledger's blocks
GATEWAY_PROGRAM_S: Final = 600.0  # to build a proof out of a data folder

RPC_BYTES: Final = 4 * 2**20  # one answer of another ledger's node

TEXT_CHARS: Final = 300  # of an outsider's text in one of our messages

BOARD_FILE_BYTES: Final = 65_536
IMAGE_BYTES: Final = 16 * 2**20  # of firmware; the largest flash of a board that we know
IMAGE_LIST_BYTES: Final = 2**20
TRAY_BYTES: Final = 2**20  # some 10,000 boards
TRAY_PARALLEL: Final = 32
PROGRAM_S: Final = 600.0  # esptool or mpremote, in all
PROGRAM_LINE_CHARS: Final = 4_096
FLEET: Final = 500  # virtual boards of one `tally simulate`

BROKER_S: Final = 10.0  # to connect to a broker, and for each of its answers
TIPS_S: Final = 5.0  # for what a broker retains to arrive
RECEIPT_S: Final = 15.0  # for a ledger to answer a block
CONFIRMED_S: Final = 300.0  # for a milestone; a ledger makes one every few seconds
INBOX_MESSAGES: Final = 256
PASSWORD_FILE_BYTES: Final = 4_096
STATUS_BOOK_BYTES: Final = 64 * 2**20  # some 500,000 credentials
VIEW_AGE_S: Final = 3_600  # of a ledger's newest milestone, after which we warn
REPORT_PROOF_BYTES: Final = 16 * 2**20  # a proof that a report carries; some 60,000 records

UPDATE_PIECE_BYTES: Final = 32_768  # of an update file, to a gateway in one message
UPDATE_ANSWER_BYTES: Final = 2**20  # of a gateway to an offer
UPDATE_S: Final = 15.0  # for a gateway's answer
UPDATE_STALLS: Final = 8  # answers in a row that bring nothing new
UPDATE_LOOK_S: Final = 2.0  # for what a broker retains of updates
