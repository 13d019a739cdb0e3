"""The engineer's command `tally`: enrol a board, fetch a proof, verify it.

`cli.py` and `commands/` read the command line and print; everything else is logic without a terminal, in files named
after what they hold. This room uses the library `tallystick` and no other room: it meets gateways and ledgers over
HTTP, a data folder's own command, and files.
"""

from __future__ import annotations
