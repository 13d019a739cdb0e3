"""Every size, count and depth that an outsider controls, in one place (docs/format.md, section 14).

Bytes unless the name says otherwise. A larger thing is refused with a `LimitError` before it is
looked into.
"""

from __future__ import annotations

from typing import Final

CBOR_DEPTH: Final = 8  # levels of nesting of anything we decode
PAYLOAD_DEPTH: Final = 3  # levels of arrays inside a record's payload
SIGNED_BYTES: Final = 16_384  # one signed object, unless a smaller limit below applies

RECORD_BYTES: Final = 4_096  # one record; far above the largest that a link carries
OPEN_BYTES: Final = 256  # an `open`: must fit a modem that carries 256 binary bytes
SEQ: Final = 2**40 - 1  # 34,000 years at one record a second
TIME: Final = 2**40 - 1  # Unix seconds
CHANNELS: Final = 16
READINGS: Final = 1_024  # in one record, for each channel
NAME_BYTES: Final = 32  # channel names, units, versions
EXPONENT: Final = 30  # of ten, either sign
EVENT_ARGS: Final = 16
MISSING_RANGES: Final = 16  # in an acknowledgement
COMMAND_NAME_BYTES: Final = 32

TREE_SIZE: Final = 2**63 - 1  # leaves
PATH_HASHES: Final = 126  # the longest consistency proof of a tree of 2^63; inclusion needs 63
NOTE_BYTES: Final = 16_384
NOTE_SIGNATURES: Final = 32  # C2SP signed-note asks for at least 16

BLOCK_BYTES: Final = 32_768
PARENTS: Final = 4
TIPS: Final = 64  # in a ledger's list of what to build on
LEDGER_NAME_BYTES: Final = 64
STATEMENT_BYTES: Final = 4_096
REASON_BYTES: Final = 512  # free text in a statement
ACCEPT_WITHIN_S: Final = 30 * 86_400  # a transfer is accepted within 30 days of ledger time
CREDENTIAL_BYTES: Final = 2_048
BOARD_CREDENTIAL_BYTES: Final = 260  # one that a board carries
STATUS_LISTS: Final = 65_535  # of one issuer, numbered from 1
STATUS_ENTRIES: Final = 2**20  # of one status list
VC_BYTES: Final = 2**18  # a verifiable credential; a full status list has 175,000
DID_DOCUMENT_BYTES: Final = 65_536
JSON_DEPTH: Final = 16  # levels of nesting of any JSON that we read
DID_BYTES: Final = 128

PROOF_BYTES: Final = 256 * 2**20
PROOF_PARTS: Final = 1_000_000
POLICY_BYTES: Final = 2**20
RECEIPT_BYTES: Final = 2 * BLOCK_BYTES + 8_192
TRANSACTION_BYTES: Final = 8_192  # part 7: a transaction and a consistency path
TRANSACTION_RAW_BYTES: Final = 512  # the transaction itself; ours have 140
CHAIN: Final = 2**53 - 1  # id of another ledger
URL_CHARS: Final = 2_048  # of a node
DEPTH: Final = 1_000_000  # blocks that a policy may ask for on top

SENML_BYTES: Final = 2**20  # a pack that we read

CHAIN_RANGES: Final = 4_096  # missing or given-up ranges that one chain's state keeps

MANIFEST_BYTES: Final = 512  # an update's manifest: a board reads messages of at most 1,024
UPDATE_INDEX_BYTES: Final = 16_384
UPDATE_ENTRIES: Final = 256  # files of an agent, or pieces of an image
UPDATE_PATH_BYTES: Final = 64
UPDATE_OBJECT_BYTES: Final = 65_536  # one file of an agent, or one piece of an image
UPDATE_BYTES: Final = 8 * 2**20  # a whole update file
UPDATE_PART_BYTES: Final = 960  # that a board asks for at once
UPDATE_BOARD_BYTES: Final = 64  # what a board calls itself
