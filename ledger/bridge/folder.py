"""What stands in a bridge's folder: that of a ledger (key, database, lock), and besides

payer.key    the key that pays on the other ledger, mode 0600, never overwritten
bridge.db    what is to be posted, what was signed, where it stands
gateways     verifier keys of the gateways whose anchors are paid for, one a line; read again when it changes
"""

from __future__ import annotations

import os
from pathlib import Path

from tallystick.checkpoint import gateway_name
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_ledger.bridge.bounds import GATEWAYS_BYTES
from tallystick_ledger.bridge.outbox import Outbox
from tallystick_ledger.bridge.payer import Payer
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder

__all__ = ["BridgeFolder", "GatewayList"]


class BridgeFolder:
    """One bridge on disk. `ledger` is the folder of a ledger that it is, too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Folder(path)
        self.database = path / "bridge.db"
        self.gateways = GatewayList(path / "gateways")
        self._payer = path / "payer.key"

    def create(self, name: str, time: int, chain: int, key_file: Path | None) -> None:
        """A new bridge to `chain`; its paying key is a new one, or that in `key_file`."""
        given = None if key_file is None else Payer.load(key_file)  # before anything is made
        self.ledger.create(name, time)
        payer = Payer.create(self._payer, key_file)
        if given is not None and given.key != payer.key:
            raise LedgerError(f"'{key_file}' changed while it was read")
        draft = self.database.with_suffix(".new")
        draft.unlink(missing_ok=True)
        Outbox.create(draft, chain, payer.key)
        draft.rename(self.database)

    def identity(self) -> str:
        """What a policy trusts: the ledger's verifier key, and the account that pays (CAIP-10)."""
        with Outbox.open(self.database) as outbox:
            return f"{self.ledger.identity()} {outbox.account}"

    def payer(self) -> Payer:
        """The paying key, which must be the one that the database names."""
        payer = Payer.load(self._payer)
        with Outbox.open(self.database) as outbox:
            if outbox.key != payer.key:
                raise LedgerError(
                    f"the key in '{self._payer}' is not that of '{self.database}'",
                    hint="key and database of one bridge belong together: restore both",
                )
        return payer


class GatewayList:
    """Whose anchors are paid for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, int] | None = None
        self._keys: dict[str, VerifierKey] = {}

    def add(self, line: str) -> bool:
        """Put a gateway on the list; False if it is there already."""
        key = _gateway(line)
        if self.key(key.name) == key:
            return False
        with self.path.open("a") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())
        return True

    def names(self) -> list[str]:
        """Origins on the list."""
        self._reload()
        return sorted(self._keys)

    def key(self, origin: str) -> VerifierKey | None:
        """The key of the gateway with this origin; None if it is not on the list."""
        self._reload()
        return self._keys.get(origin)

    def _reload(self) -> None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._keys = {}
            return
        if self._read == (stat.st_mtime_ns, stat.st_size):
            return
        if stat.st_size > GATEWAYS_BYTES:
            raise LedgerError(f"'{self.path}' is longer than {GATEWAYS_BYTES} bytes")
        lines = [line.strip() for line in self.path.read_text().splitlines()]
        keys = [_gateway(line) for line in lines if line and not line.startswith("#")]
        self._keys = {key.name: key for key in keys}
        self._read = stat.st_mtime_ns, stat.st_size


def _gateway(line: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(line)
    except TallystickError as error:
        raise LedgerError(error.detail, hint="tally-gateway identity prints the line") from error
    if key.name != gateway_name(key.key):
        raise LedgerError(
            f"'{key.name}' is not a gateway's name", hint="tally-gateway identity prints the line"
        )
    return key
