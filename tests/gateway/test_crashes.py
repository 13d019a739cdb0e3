"""Power cuts: what was acknowledged is there, what was not comes again, and no two checkpoints
contradict each other.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence

import pytest

from tallystick import checkpoint, merkle, message, note, topics
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.examine import Examined
from tallystick_gateway.folder import Folder
from tallystick_gateway.intake import Batch, Intake
from tallystick_gateway.mqtt import Broker as Door
from tallystick_gateway.mqtt import Inbound, Login
from tallystick_gateway.session import filters, last_will
from tallystick_gateway.store import Store
from tallystick_gateway.writer import Intervals, Writer
from tests.gateway.boards import Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, command, eventually
from tests.parts import LOOPBACK, Broker


def held(gateway: Gateway) -> list[bytes]:
    """All leaves, in their order."""
    store = Store.read(gateway.folder / "gateway.db")
    try:
        return store.entries(0, store.size())
    finally:
        store.close()


def test_no_puback_before_the_commit(gateway: Gateway, field: Field) -> None:
    """A gateway that is killed while its disk still works on a record gets that record again."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(3)
    field.send(board, records[:1])
    field.acked(board, 0)
    blocker = sqlite3.connect(gateway.folder / "gateway.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    field.send(board, records[1:])
    time.sleep(0.5)
    ack = field.ack(board)
    assert ack is not None
    assert 0 == ack.upto
    gateway.kill()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert records[0].raw == held(gateway)[-1]

    gateway.start()

    field.acked(board, 2)
    assert [r.raw for r in records] == held(gateway)


class _Silent(Door):
    """A door whose PUBACKs never reach the broker, as if the power went in between."""

    def acknowledge(self, messages: Iterable[Inbound]) -> None:
        """Nothing."""


def in_process(
    gateway: Gateway, ledger: LedgerDouble, kind: type[Door] = Door
) -> tuple[Writer, Door]:
    """The gateway's writer and its door to the broker, not started, in this process."""
    folder = Folder(gateway.folder)
    own, key = folder.identity(), LedgerKey(note.VerifierKey.parse(ledger.line))
    login = Login(LOOPBACK, gateway.port, f"tallystick-gateway-{own.id.hex()}")
    door = kind(login, filters(own, key.id), last_will(own))
    writer = Writer(
        folder,
        own,
        key,
        door,
        Intervals(0.1, 60, 0.1),
        enrolment=folder.enrolment,
        high_water=folder.high_water,
    )
    return writer, door


def test_what_waits_is_one_transaction(
    gateway: Gateway, ledger: LedgerDouble, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush of the disk for each record would be all that a gateway under load does."""
    board = Board()
    gateway.enrol(board)
    writer, door = in_process(gateway, ledger)
    batches: list[int] = []
    honest = Intake.commit

    def commit(self: Intake, batch: Sequence[Examined], now: int) -> Batch:
        batches.append(len(batch))
        return honest(self, batch, now)

    monkeypatch.setattr(Intake, "commit", commit)
    writer.open()
    door.start()
    records = board.fill(200)
    eventually(lambda: door.is_connected or None, "a connection")
    eventually(lambda: door.inbox.qsize() >= 2 or None, "the broker's answers")
    for one in records:
        field.client.publish(topics.Device(board.id).up, one.raw, qos=1)
    # as many as the broker hands out before the first is acknowledged
    eventually(lambda: door.inbox.qsize() >= 20 or None, "what waits")
    writer.start()
    field.acked(board, 199)
    writer.stop()
    writer.join()
    door.stop()

    assert 200 == sum(batches)
    assert max(batches) >= 18


def test_redelivery_after_the_commit_counts_once(
    gateway: Gateway, ledger: LedgerDouble, field: Field
) -> None:
    """A gateway that was killed between commit and PUBACK gets the record again, and knows it."""
    board = Board()
    gateway.enrol(board)
    writer, door = in_process(gateway, ledger, _Silent)
    writer.open()
    writer.start()
    door.start()
    field.acked(board, None)
    records = board.fill(3)
    field.send(board, records)
    field.acked(board, 2)
    door.stop()
    writer.stop()
    writer.join()

    gateway.start()

    gateway.counted("duplicate", 3)
    assert [r.raw for r in records] == held(gateway)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_any_moment_under_load(gateway: Gateway, field: Field, seed: int) -> None:
    """After kill -9 at random moments nothing acknowledged is lost, and every checkpoint ever shown fits the log."""
    chance = random.Random(seed)
    boards = [Board() for _ in range(3)]
    gateway.enrol(*boards)
    gateway.start()
    for board in boards:
        board.fill(250)
    pace = threading.Event()

    def load(board: Board) -> None:
        for start in range(0, 250, 10):
            field.send(board, board.records[start : start + 10])
            pace.wait(0.05)

    threads = [threading.Thread(target=load, args=(board,), daemon=True) for board in boards]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(chance.uniform(0.05, 0.9))
        gateway.kill()
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.3))
        gateway.start(wait=chance.random() < 0.7)
    for thread in threads:
        thread.join(60)
    eventually(lambda: gateway.answers() or None, "start")
    for board in boards:
        _resend_until_acked(field, board)
    eventually(lambda: gateway.json("/healthz")["signed"] == 750, "last checkpoint")
    gateway.stop()

    leaves = held(gateway)
    assert sorted(r.raw for board in boards for r in board.records) == sorted(leaves)
    _all_acknowledged_is_there(field, boards, note.VerifierKey.parse(gateway.line))
    _all_checkpoints_agree(gateway, field, leaves)
    assert b"\nok\n" in command("fsck", "--dir", gateway.folder).stdout


def _resend_until_acked(field: Field, board: Board) -> None:
    """What a board does: it sends again what is not acknowledged."""

    def done() -> bool:
        ack = field.ack(board)
        upto = -1 if ack is None or ack.upto is None else ack.upto
        if upto == 249:
            return True
        field.send(board, board.records[upto + 1 :])
        time.sleep(1)
        return False

    eventually(done, "everything acknowledged", 40)


def _all_acknowledged_is_there(
    field: Field, boards: list[Board], identity: note.VerifierKey
) -> None:
    by_topic = {topics.Device(board.id).ack: board for board in boards}
    seen = 0
    for topic, raw in field.seen:
        if topic in by_topic:
            ack = message.parse_acknowledgement(raw)
            ack.signed.verify(identity.key)
            if ack.upto is not None:
                assert by_topic[topic].records[ack.upto].id == ack.id
                seen += 1
    assert seen > 3


def _all_checkpoints_agree(gateway: Gateway, field: Field, leaves: list[bytes]) -> None:
    """Each was signed by the gateway, has the root of the leaves, and grew into the next."""
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    topic = topics.Gateway(gateway.id).checkpoint
    shown = [checkpoint.parse(raw) for t, raw in field.seen if t == topic]
    assert len(shown) > 1  # a busy machine signs seldom between two kills
    for one in shown:
        one.verify(note.VerifierKey.parse(gateway.line))
        assert merkle.root(hashes[: one.size]) == one.root
    ordered = sorted(shown, key=lambda one: one.size)
    for older, newer in itertools.pairwise(ordered):
        path = merkle.consistency_path(hashes[: newer.size], older.size)
        merkle.verify_consistency(older.size, older.root, newer.size, newer.root, path)


def test_a_start_that_finds_torn_tiles(gateway: Gateway, field: Field) -> None:
    """Tiles that a crash or a clumsy hand has damaged are put back before anything is signed over them."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(300))
    eventually(lambda: gateway.json("/healthz")["signed"] == 300, "checkpoint")
    gateway.kill()
    tile = gateway.folder / "log/tile/0/000"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    (gateway.folder / "log/tile/entries/000").unlink()
    fsck = command("fsck", "--dir", gateway.folder, check=False)
    assert 1 == fsck.returncode
    assert b"tile/0/000 is missing or wrong" in fsck.stdout

    gateway.start()

    gateway.state("running")
    assert b"\nok\n" in command("fsck", "--dir", gateway.folder).stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE leaves SET raw = zeroblob(9) WHERE idx = 1", b"leaf 1 "),
        ("UPDATE leaves SET result = 'fork' WHERE idx = 1", b"stored as fork"),
        ("UPDATE devices SET last_seen = 1, state = (SELECT x'80')", b"stored state is another"),
        ("UPDATE checkpoints SET root = zeroblob(32)", b"leaves have another root"),
        ("UPDATE anchors SET block = x'00'", b"another block is confirmed"),
        ("UPDATE leaves SET start = 7 WHERE seq = 2", b"another kind, time or id"),
    ],
)
def test_fsck_finds(gateway: Gateway, field: Field, change: str, words: bytes) -> None:
    """What somebody changed in the database comes to light, because it follows from the records."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(4))
    eventually(lambda: gateway.json("/healthz")["anchored"] >= 4, "anchor")
    gateway.stop()
    assert b"\nok\n" in command("fsck", "--dir", gateway.folder).stdout
    database = sqlite3.connect(gateway.folder / "gateway.db", isolation_level=None)
    database.execute(change)
    database.close()

    fsck = command("fsck", "--dir", gateway.folder, check=False)

    assert 1 == fsck.returncode
    assert words in fsck.stdout
    assert b"hint: " in fsck.stderr


def test_a_broker_that_is_killed(gateway: Gateway, broker: Broker, field: Field) -> None:
    """A packet id of a session that the broker lost acknowledges nothing of the next one."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(30)
    field.send(board, records[:10])
    field.acked(board, 9)
    broker.kill()
    for left in broker.folder.glob("mosquitto.db*"):
        left.unlink()
    broker.start()
    eventually(lambda: field.client.is_connected() or None, "reconnection")
    gateway.state("running")
    time.sleep(0.3)
    for start in range(10, 30, 5):
        field.send(board, records[start : start + 5])

    field.acked(board, 29)
