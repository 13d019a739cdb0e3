"""A ledger in a folder, for tests that drive its rules without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store

START = 1_800_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Stands at the genesis block's time."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A new ledger on disk."""
    made = Folder(tmp_path / "site")
    made.create("test site", START)
    return made


@pytest.fixture
def node(folder: Folder, clock: Clock) -> Iterator[Node]:
    """The only writer of that ledger."""
    with Store.writing(folder.database) as store:
        yield Node(store, folder.key(), clock)
