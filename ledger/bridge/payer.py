"""The key that pays: one secp256k1 key in a file of mode 0600, 64 hex digits on one line.

It is read once, signs transactions of one form, and is never shown: not in an error, a log line or
an argument.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from tallystick import transaction
from tallystick.transaction import Transaction
from tallystick_ledger.bridge.bounds import KEY_BYTES
from tallystick_ledger.errors import LedgerError

__all__ = ["Payer"]


class Payer:
    """Signs what carries a note: a transaction of no value to the account itself."""

    def __init__(self, secret: bytes) -> None:
        from eth_keys.datatypes import PrivateKey

        self._secret = secret
        self.key: bytes = PrivateKey(secret).public_key.to_compressed_bytes()
        self.address = transaction.address_of(self.key)

    @classmethod
    def create(cls, path: Path, given: Path | None = None) -> Payer:
        """A new key at `path`, or the one in the file `given`; nothing is overwritten."""
        secret = secrets.token_bytes(32) if given is None else _read(given)
        payer = cls._checked(secret, given or path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w") as file:
            file.write(f"{secret.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        return payer

    @classmethod
    def load(cls, path: Path) -> Payer:
        """The key at `path`."""
        return cls._checked(_read(path), path)

    @classmethod
    def _checked(cls, secret: bytes, path: Path) -> Payer:
        from eth_utils.exceptions import ValidationError

        try:
            return cls(secret)
        except (ValueError, ValidationError):
            raise LedgerError(f"'{path}' holds no key of secp256k1") from None

    def sign(self, note_text: str, chain: int, nonce: int, price: int, gas: int) -> Transaction:
        """The transaction that carries the note with this text; `price` for one gas, in the smallest unit."""
        from eth_account import Account

        signed = Account.sign_transaction(
            {
                "nonce": nonce,
                "gasPrice": price,
                "gas": gas,
                "to": self.address,
                "value": 0,
                "data": transaction.calldata(note_text),
                "chainId": chain,
            },
            self._secret,
        )
        made = transaction.signed(bytes(signed.raw_transaction), self.key)
        made.verify()
        return made


def _read(path: Path) -> bytes:
    """32 bytes; the errors quote the file's name and nothing that is in it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(KEY_BYTES)
    except OSError as error:
        raise LedgerError(f"cannot read the key in '{path}': {error.strerror}") from None
    if mode & 0o077:
        raise LedgerError(
            f"others may read the key in '{path}' (mode {mode:04o})",
            hint=f"chmod 600 '{path}'; if others were on this machine, use a new key",
        )
    try:
        secret = bytes.fromhex(data.decode().strip().removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise LedgerError(f"'{path}' is not a key of 64 hex digits")
    return secret
