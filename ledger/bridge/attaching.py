"""Adds to a proof file the transaction that carries its ledger's checkpoint (docs/format.md, 8.1).

The anchor was confirmed by a milestone of an embedded ledger; the bridge has posted that ledger's
checkpoint then or later. The ledger's own tree shows that the later one contains the milestone. The
old file is replaced by a whole new one, or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path

from tallystick import checkpoint, limits, proof
from tallystick.errors import TallystickError
from tallystick.transaction import Later, Transaction
from tallystick_ledger import tree
from tallystick_ledger.bridge.folder import BridgeFolder
from tallystick_ledger.bridge.outbox import Outbox
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.reader import Reader

__all__ = ["attach"]


def attach(path: Path, bridge: BridgeFolder, ledger: Folder) -> Transaction:
    """Rewrite the proof file at `path`; `LedgerError` leaves it as it was."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.PROOF_BYTES + 1)
        given = proof.parse(data)
    except OSError as error:
        raise LedgerError(f"cannot read '{path}': {error.strerror}") from error
    except TallystickError as error:
        raise LedgerError(f"'{path}': {error.detail}", hint=error.hint) from error
    if given.anchor is None:
        raise LedgerError(
            f"'{path}' has no anchor yet", hint="make the proof again when it is anchored"
        )
    milestone = given.anchor.milestone
    name = checkpoint.ledger_name(milestone.ledger)
    with Outbox.open(bridge.database) as outbox:
        found = outbox.posted(name, milestone.size)
    if found is None:
        raise LedgerError(
            f"the bridge has posted no checkpoint of {name} that contains the anchor",
            hint="wait for the next one: tally-ledger bridge status",
        )
    text, sent = found
    _, size, root = checkpoint.parse_text(text)
    with Reader.open(ledger.database) as reader:
        if reader.ledger != milestone.ledger:
            raise LedgerError(
                f"'{ledger.path}' is the folder of another ledger than that of the proof"
            )
        consistency = tree.consistency(reader.node, milestone.size, size)
    sent = sent.replace(later=Later(size, root, tuple(consistency)))
    anchor = given.anchor.replace(transaction=sent)
    _replace(path, proof.with_anchor(data, anchor))
    return sent


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LedgerError(f"cannot write '{path}': {error.strerror}") from error
