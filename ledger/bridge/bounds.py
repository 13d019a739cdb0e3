"""What the bridge waits for, repeats and keeps, in one place. Seconds unless the name says otherwise."""

from __future__ import annotations

from typing import Final

POLL_S: Final = 1.0  # between two looks at the other ledger
REQUEST_S: Final = 10.0  # one question to its node
STUCK_S: Final = 300.0  # a transaction that no block has taken may be given a higher price
RAISE: Final = (9, 8)  # ... by at least this much: nodes refuse a smaller step
DAY_S: Final = 86_400
IN_FLIGHT: Final = 16  # transactions that no block has taken yet
REVISITS: Final = 8  # transactions that are safe already, looked at again in one turn ...
REVISIT_S: Final = 60.0  # ... each this often
FACTS_S: Final = 10.0  # what the status shows is written so often
SEARCH_BLOCKS: Final = 64  # looked through in one turn for a transaction that spent our nonce
KEY_BYTES: Final = 256  # of a key file
GATEWAYS_BYTES: Final = 2**20  # of the list of gateways
DETAIL_CHARACTERS: Final = 256  # of what a node answers, in our log
