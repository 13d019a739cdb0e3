"""Read hex lines, print what `cbor.decode` makes of each: the repr, or `refused`."""

import sys

from tally import cbor, decode

for line in sys.stdin:
    try:
        print(repr(decode.decode(bytes.fromhex(line.strip()))))
    except cbor.CborError:
        print("refused")
