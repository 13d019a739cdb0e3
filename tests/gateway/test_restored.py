"""A data folder that was restored from an older copy: it must not sign a second history, whoever
remembers the first.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tallystick import checkpoint, note, topics
from tallystick.body import CheckpointRef
from tallystick.record import Record
from tests.gateway.boards import Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, command, eventually


class Restored:
    """A gateway that signed 6 leaves, then was put back to the copy with 3."""

    def __init__(self, gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
        self.gateway, self.ledger, self.field, self.board = gateway, ledger, field, Board()
        gateway.enrol(self.board)
        records = self.board.fill(6)
        self.run(records[:3], 3)
        copy = gateway.folder.with_name("copy")
        shutil.copytree(gateway.folder, copy)
        self.run(records[3:], 6)
        shutil.rmtree(gateway.folder)
        copy.rename(gateway.folder)
        self.high_water = gateway.folder.with_name("gw.high-water")
        self.own = topics.Gateway(gateway.id).checkpoint
        self.anchor = ledger.topics.anchor(gateway.id)
        self.newest = checkpoint.parse(field.newest[self.own])
        assert 6 == self.newest.size

    def run(self, records: list[Record], size: int) -> None:
        """Send, wait for the anchor, stop."""
        self.gateway.start()
        self.field.send(self.board, records)
        eventually(lambda: self.gateway.json("/healthz")["anchored"] == size, "anchor")
        self.field.acked(self.board, size - 1)
        self.gateway.stop()

    def forget(self, *sources: str) -> None:
        """Let these sources know nothing."""
        if "high-water" in sources:
            self.high_water.unlink()
        for name, topic in (("checkpoint", self.own), ("anchor", self.anchor)):
            if name in sources:
                self.field.client.publish(topic, b"", qos=1, retain=True).wait_for_publish(5)
                self.field.newest.pop(topic, None)


@pytest.fixture
def restored(gateway: Gateway, ledger: LedgerDouble, field: Field) -> Restored:
    """See `Restored`."""
    return Restored(gateway, ledger, field)


def _no_source(_: Restored) -> None:
    """The source speaks by itself."""


def _beacon(restored: Restored) -> None:
    """A board comes back with what it was told."""
    own, newest = restored.gateway.id, restored.newest
    restored.board.beacon(checkpoint=CheckpointRef(own, newest.size, newest.root))
    restored.field.send(restored.board, restored.board.records[-1:])


@pytest.mark.parametrize(
    ("forgotten", "speak", "named"),
    [
        (("checkpoint", "anchor"), _no_source, "high-water"),
        (("high-water", "anchor"), _no_source, "retained checkpoint"),
        (("high-water", "checkpoint"), _no_source, "newest anchor"),
        (("high-water", "checkpoint", "anchor"), _beacon, "record 6 of device"),
    ],
)
def test_each_witness_alone_freezes_it(
    restored: Restored, forgotten: tuple[str, ...], speak: Callable[[Restored], None], named: str
) -> None:
    """One witness of the lost history is enough: no signature, loud words, and still no record lost."""
    gateway, field, board = restored.gateway, restored.field, restored.board
    restored.forget(*forgotten)
    field.seen.clear()
    gateway.start()
    speak(restored)

    state = gateway.state("frozen")

    assert named in str(state["reason"])
    assert 503 == gateway.get("/healthz").status_code
    own_state = topics.Gateway(gateway.id).state
    eventually(lambda: b"frozen" in field.newest.get(own_state, b"") or None, "state on the broker")
    board.read()
    field.send(board, board.records[3:])
    top = board.records[-1].seq
    ack = field.acked(board, top)
    assert 3 == ack.size
    # the old checkpoint may be shown again, before the witness spoke; a new one never
    shown = [checkpoint.parse(raw) for topic, raw in field.seen if topic == restored.own and raw]
    assert {3} >= {one.size for one in shown}
    gateway.kill()
    gateway.start()
    gateway.state("frozen")
    gateway.stop()
    _new_log(restored, top)


def _new_log(restored: Restored, top: int) -> None:
    """The way out: a new origin over all records, while the anchors of the old one stay good."""
    gateway, field = restored.gateway, restored.field
    before = gateway.line
    ended = command("new-log", "--dir", gateway.folder)
    assert ended.stdout.decode().strip() == gateway.line != before
    archived = list((gateway.folder / "old").rglob("gateway.key"))
    assert [0o600] == [path.stat().st_mode & 0o777 for path in archived]
    gateway.start()
    gateway.state("running")
    topic = topics.Gateway(gateway.id).checkpoint
    raw = eventually(lambda: field.newest.get(topic), "checkpoint of the new origin")
    signed = checkpoint.parse(raw)
    signed.verify(note.VerifierKey.parse(gateway.line))
    assert top + 1 == signed.size
    field.acked(restored.board, top)
    gateway.stop()
    assert b"\nok\n" in command("fsck", "--dir", gateway.folder).stdout


def test_a_log_that_was_not_restored_goes_on(
    gateway: Gateway, ledger: LedgerDouble, field: Field
) -> None:
    """All the witnesses together do not stop a gateway that has only been restarted."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(3))
    eventually(lambda: gateway.json("/healthz")["anchored"] == 3, "anchor")
    newest = checkpoint.parse(field.newest[topics.Gateway(gateway.id).checkpoint])
    gateway.kill()
    gateway.start()
    board.beacon(checkpoint=CheckpointRef(gateway.id, newest.size, newest.root))
    field.send(board, board.records[-1:])

    eventually(lambda: gateway.json("/healthz")["anchored"] == 4, "next anchor")
    gateway.state("running")
