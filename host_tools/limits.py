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
VIRTUAL_START_S: Final = 120.0  # compiles the agent first

ENROLMENT_BYTES: Final = 64 * 2**20  # some 60,000 devices
GRANTS_BYTES: Final = 2**20
KEY_FILE_BYTES: Final = 16_384
DEVICE_NAME_CHARS: Final = 64

HTTP_TIMEOUT_S: Final = 30.0  # without a byte
HTTP_ERROR_BYTES: Final = 4_096  # of an answer that is an error
STATEMENTS_BYTES: Final = 16 * 2**20
GATEWAY_PROGRAM_S: Final = 600.0  # to build a proof out of a data folder

TEXT_CHARS: Final = 300  # of an outsider's text in one of our messages
