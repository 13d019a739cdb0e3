"""The enrolment file: what is checked, and what need not be checked again.

If this fails, a key that must not be trusted gets in, or a gateway with many boards stands still at each change.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick import did
from tallystick.keys import ED25519, PublicKey
from tallystick_gateway.enrolment import EnrolmentFile
from tests.gateway.boards import Board


def entry(board: Board, **more: object) -> dict[str, object]:
    """What `tally enrol` writes."""
    return {"id": board.id.hex(), "did": board.did, "name": None, "credential": None, **more}


def write(path: Path, *entries: dict[str, object]) -> None:
    """The file as a whole."""
    path.write_text(json.dumps({"version": 1, "grant": None, "devices": entries}))


class Checked:
    """Counts the keys that are checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = did.public_key

        def public_key(name: str) -> PublicKey:
            self.count += 1
            return real(name)

        monkeypatch.setattr(did, "public_key", public_key)


def test_only_what_is_new_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One board more would cost a check of all."""
    path, boards, checked = tmp_path / "e.json", [Board() for _ in range(5)], Checked(monkeypatch)
    write(path, *map(entry, boards[:4]))
    file = EnrolmentFile(path)
    assert file.reload()
    assert 4 == checked.count

    write(path, *map(entry, boards))
    assert file.reload()

    assert 5 == checked.count
    assert {board.id for board in boards} == set(file.current.devices)
    write(path, entry(boards[0], name="cellar"), *map(entry, boards[1:]))
    assert file.reload()
    assert "cellar" == file.current.devices[boards[0].id].name
    assert 6 == checked.count


def test_a_file_that_was_good_is_good_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start with ten thousand boards would take a second more."""
    path, boards = tmp_path / "e.json", [Board() for _ in range(3)]
    write(path, *map(entry, boards))
    first = EnrolmentFile(path)
    first.reload()
    checked = Checked(monkeypatch)

    second = EnrolmentFile(path, first.good)
    second.reload()

    assert 0 == checked.count
    assert first.current == second.current
    assert boards[0].first_key == second.current.devices[boards[0].id].key
    assert first.good == second.good


@pytest.mark.parametrize("change", ["another board", "another key", "low order"])
def test_what_was_good_says_nothing_of_another_file(tmp_path: Path, change: str) -> None:
    """Whoever can write the file alone gets nothing in that would have been refused."""
    path, board, other = tmp_path / "e.json", Board(), Board()
    write(path, entry(board))
    first = EnrolmentFile(path)
    first.reload()
    identity = "did:key:z" + _base58(b"\xed\x01" + (1).to_bytes(32, "little"))
    wrong = {
        "another board": entry(other, did=board.did),
        "another key": entry(board, did=other.did),
        "low order": entry(board, did=identity),
    }[change]
    write(path, wrong)

    second = EnrolmentFile(path, first.good)
    second.reload()

    assert {} == second.current.devices
    assert 1 == len(second.current.refused)
    assert second.good is None


def test_a_file_with_something_refused_is_checked_at_each_start(tmp_path: Path) -> None:
    """What was refused would be let in by a restart."""
    path, board, other = tmp_path / "e.json", Board(), Board()
    write(path, entry(board), entry(other, did=board.did), entry(Board(), credential="AAAA"))
    first = EnrolmentFile(path)
    first.reload()
    assert first.good is None

    second = EnrolmentFile(path, first.good)
    second.reload()

    assert 2 == len(second.current.refused)
    assert first.current == second.current
    again = EnrolmentFile(path)
    again.reload()
    again.reload(force=True)
    assert first.current == again.current


def _base58(data: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return text


def test_base58_of_these_tests() -> None:
    """It spells a good key as the library does."""
    key = Board().first_key
    assert ED25519 == key.alg
    assert did.did_key(key) == "did:key:z" + _base58(b"\xed\x01" + key.raw)
