"""The signer's arithmetic in native code: `_ed25519`, where this board has it.

It is built from firmware/native by `make native`, one file for each architecture; importing this
module raises ImportError, MemoryError or ValueError where that file is missing, does not fit into
instruction memory, or is for another processor. The functions are those of `ed25519_pure`.
"""

import _ed25519

expand = _ed25519.expand
sign = _ed25519.sign
verify = _ed25519.verify
