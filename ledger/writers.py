"""Who may write to the ledger, and how fast.

* **Open** (the default): whoever's block is in form. A writer whose key is known - from the list, or a
  gateway's from its grant - has an allowance of its own; all others share one. So a flood from strangers,
  of blocks that are valid every one, closes the door to strangers and to nobody else.
* **A list of keys**: only what one of them signed: the block itself, or the statement that it carries, which
  the owner of a device signs while the block bears a key of the moment. A statement counts as its signer's
  only once: said again by others, it would spend the signer's allowance.

A refused block is not lost: its submitter is told `writer.rate` or `writer.unknown`, and sends it again or
asks the operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tallystick import did, statement
from tallystick.block import Block, BlockKind
from tallystick.cose import Signed
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.note import VerifierKey
from tallystick_ledger.errors import LedgerError, RejectedError
from tallystick_ledger.gateways import Gateways
from tallystick_ledger.limits import (
    ALLOW_LIST_BYTES,
    BURST_S,
    STRANGER_RATE,
    WRITER_RATE,
    WRITERS,
)

__all__ = ["Writers", "read_allow_list"]

_STRANGERS: Final = b""


class Writers:
    """Decides by signature who wrote a block, and whether he may now. Rates are blocks a second."""

    def __init__(
        self,
        gateways: Gateways,
        allowed: Iterable[PublicKey] | None = None,
        rate: float = WRITER_RATE,
        stranger_rate: float = STRANGER_RATE,
    ) -> None:
        self._gateways = gateways
        self._closed = allowed is not None
        self._allowed = {key.kid: key for key in allowed or ()}
        self._rate = rate
        self._stranger_rate = stranger_rate
        self._buckets: dict[bytes, tuple[float, float]] = {}  # kid: (allowance, when it was that)

    @property
    def closed(self) -> bool:
        """Is there a list of keys?"""
        return self._closed

    def who(self, parsed: Block, *, fresh: bool) -> bytes | None:
        """The kid of the known key that wrote the block, None for a stranger; `fresh`: what it carries is new
        here.
        """
        if self._signed(parsed.signed):
            return parsed.signed.kid
        if parsed.kind is BlockKind.STATEMENT and fresh:
            inner = statement.parse(parsed.carried).signed
            if self._signed(inner):
                return inner.kid
        return None

    def spend(self, writer: bytes | None, now: float) -> None:
        """Take one block from the allowance of `writer` at `now` (seconds, never going back).

        `RejectedError` (`writer.unknown`, `writer.rate`) if there is none left, or if he has none.
        """
        if writer is None and self._closed:
            raise RejectedError("writer.unknown", "signed by no key of this ledger's list")
        name = _STRANGERS if writer is None else writer
        rate = self._stranger_rate if writer is None else self._rate
        full = max(1.0, rate * BURST_S)
        left, since = self._buckets.get(name, (full, now))
        left = min(full, left + (now - since) * rate)
        if left < 1:
            raise RejectedError("writer.rate", f"more than {rate:g} blocks a second")
        if name not in self._buckets and len(self._buckets) >= WRITERS:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[name] = (left - 1, now)

    def _signed(self, signed: Signed) -> bool:
        key = self._allowed.get(signed.kid)
        if key is None and not self._closed:
            key = self._gateways.key(signed.kid)
        if key is None:
            return False
        try:
            signed.verify(key)
        except TallystickError:
            return False
        return True


def read_allow_list(path: Path) -> list[PublicKey]:
    """The keys in a file: one a line, a did:key or the line that `tally-gateway identity` prints; # starts a
    remark.
    """
    try:
        raw = path.read_bytes()
        if len(raw) > ALLOW_LIST_BYTES:
            raise LedgerError(f"'{path}' is longer than {ALLOW_LIST_BYTES} bytes")
        lines = raw.decode().splitlines()
    except OSError as error:
        raise LedgerError(f"cannot read '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"'{path}' is not UTF-8") from error
    keys: list[PublicKey] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            key = did.public_key(text) if text.startswith("did:") else VerifierKey.parse(text).key
        except TallystickError as error:
            raise LedgerError(
                f"'{path}', line {number}: {error.detail}",
                hint="a did:key, or the line that tally-gateway identity prints",
            ) from error
        keys.append(key)
    return keys
