"""What is not there for a while: the ledger for days, the disk's will to write, the right time, the network.

If this fails, an operator comes back to a gateway that has stopped, or has lost what came meanwhile.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tallystick import block, note
from tallystick.receipt import Receipt, State
from tallystick_gateway import bounds, mqtt, writer
from tallystick_gateway.anchors import Anchors, LedgerKey
from tallystick_gateway.folder import Folder, Identity
from tallystick_gateway.mqtt import Broker as Door
from tallystick_gateway.mqtt import Login
from tallystick_gateway.session import filters, last_will
from tallystick_gateway.writer import Intervals, Writer
from tests.gateway.boards import Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, eventually
from tests.gateway.test_anchors import Ledger, Site
from tests.parts import LOOPBACK, Broker, free_port

HOUR_S = 3_600
DAYS = 4


class Inside:
    """A gateway whose writer and door run in this process, so that its clock and disk can be bent."""

    def __init__(self, made: Gateway, line: str, port: int) -> None:
        folder = Folder(made.folder)
        own, key = folder.identity(), LedgerKey(note.VerifierKey.parse(line))
        self.door = Door(
            Login(LOOPBACK, port, f"tallystick-gateway-{own.id.hex()}"),
            filters(own, key.id),
            last_will(own),
        )
        self.writer = Writer(
            *(folder, own, key, self.door, Intervals(0.1, 0.2, 0.2)),
            enrolment=folder.enrolment,
            high_water=folder.high_water,
        )
        self.writer.open()
        self.writer.start()
        self.door.start()

    def state(self) -> tuple[str, str]:
        """What /healthz would say."""
        status = self.writer.status()
        return str(status["state"]), str(status["reason"])

    def running(self) -> None:
        """Wait until all is well."""
        eventually(lambda: self.state()[0] == "running" or None, "a gateway that runs", 60)

    def stop(self) -> None:
        """End both threads."""
        self.writer.stop()
        self.writer.join()
        self.door.stop()


@pytest.fixture
def board() -> Board:
    """An enrolled board."""
    return Board()


@pytest.fixture
def inside(gateway: Gateway, ledger: LedgerDouble, board: Board) -> Iterator[Inside]:
    """A gateway in this process."""
    gateway.enrol(board)
    made = Inside(gateway, ledger.line, gateway.port)
    made.running()
    yield made
    made.stop()


# ---- the ledger


def test_a_ledger_that_is_away_for_days(tmp_path: Path) -> None:
    """Checkpoints of four days wait, few blocks and few messages of them; when the ledger is back, all is anchored."""
    ledger = Ledger()
    own = Identity.of(Board().key)
    site = Site(tmp_path, ledger, own)
    site.anchors.tips(site_tips(ledger))
    sent: list[bytes] = []
    for hour in range(24 * DAYS):
        site.grow()
        for minute in range(0, 60, 5):
            clock = hour * HOUR_S + 60.0 * minute
            sent += site.due(clock)
        if hour == 50:  # a restart in between
            site.anchors = Anchors(own, LedgerKey(ledger.line), site.store, 60.0)
            site.anchors.tips(site_tips(ledger))
    clock = 24.0 * DAYS * HOUR_S
    assert bounds.PENDING_ANCHORS == site.anchors.pending == len(set(sent))
    # else the broker's queue for the ledger would drop what matters
    assert len(sent) < bounds.PENDING_ANCHORS * (24 * DAYS + 30)

    # it is heard again: it need not wait an hour for what it has missed
    site.anchors.newest(ledger.milestone([bytes(32)], 9).block.raw, clock)
    back = site.due(clock)
    assert bounds.PENDING_ANCHORS == len(back)
    for raw in back:
        confirm(site, ledger, raw, clock)
    newest = site.due(clock + 61)
    assert [site.points.size] == [size_of(raw) for raw in newest]
    confirm(site, ledger, newest[0], clock + 62)

    assert 0 == site.anchors.pending
    assert len(site.leaves) == site.store.anchored_size(own.origin)
    for size in range(1, len(site.leaves) + 1):
        assert site.store.earliest_anchor(size) is not None


def site_tips(ledger: Ledger) -> bytes:
    """What the ledger's retained list says."""
    from tallystick import cbor

    return cbor.encode([block.block_id(ledger.genesis)])


def size_of(raw: bytes) -> int:
    """Leaves that an anchor block covers."""
    from tallystick import checkpoint

    return checkpoint.parse(block.parse(raw).carried).size


def confirm(site: Site, ledger: Ledger, raw: bytes, clock: float) -> None:
    """The ledger's receipt."""
    confirmed = ledger.confirm(raw)
    answer = Receipt(State.CONFIRMED, confirmed.block.id, "", confirmed).encode()
    site.anchors.receipt(answer, clock)


def test_records_come_while_the_ledger_is_away(
    gateway: Gateway, ledger: LedgerDouble, field: Field, board: Board
) -> None:
    """Boards are acknowledged meanwhile, through a restart; what waited is anchored when the ledger is there."""
    gateway.enrol(board)
    ledger.close()
    records = board.fill(30)
    gateway.start()
    field.send(board, records[:15])
    field.acked(board, 14)
    gateway.kill()
    gateway.start()
    field.send(board, records[15:])
    field.acked(board, 29)
    assert 0 == gateway.json("/healthz")["anchored"]

    ledger.client.reconnect()
    ledger.client.loop_start()
    eventually(ledger.client.is_connected, "the ledger's return")
    ledger.milestone()

    eventually(lambda: gateway.json("/healthz")["anchored"] == 30 or None, "an anchor of all", 60)


# ---- the disk


def test_a_disk_that_is_read_only(inside: Inside, field: Field, board: Board) -> None:
    """Nothing is acknowledged while nothing can be written; it says so, and goes on by itself."""
    records = board.fill(6)
    field.send(board, records[:3])
    field.acked(board, 2)
    database = inside.writer._store._db
    database.execute("PRAGMA query_only = ON")
    field.send(board, records[3:])

    eventually(lambda: "readonly" in inside.state()[1] or None, "a word of the trouble")
    assert inside.state()[0] == "trouble"
    held = field.ack(board)
    assert held is not None
    assert 2 == held.upto
    database.execute("PRAGMA query_only = OFF")

    field.acked(board, 5)
    inside.running()
    assert [one.raw for one in records] == inside.writer._store.entries(0, 99)


# ---- the clock


@pytest.mark.parametrize("jump_s", [10 * 86_400, -10 * 86_400])
def test_a_clock_that_jumps(
    inside: Inside,
    ledger: LedgerDouble,
    field: Field,
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
    jump_s: int,
) -> None:
    """NTP sets a clock that was wrong by days: records, acknowledgements, checkpoints and anchors go on at
    their pace, and the board hears the new time.
    """
    records = board.fill(8)
    field.send(board, records[:4])
    before = field.acked(board, 3)
    size = inside.writer.status()["signed"]
    bent = SimpleNamespace(
        **{name: getattr(time, name) for name in ("monotonic", "sleep")},
        time=lambda: time.time() + jump_s,
    )
    monkeypatch.setattr(writer, "time", bent)
    field.send(board, records[4:])

    after = field.acked(board, 7)

    assert abs(after.time - before.time - jump_s) < 120
    eventually(lambda: inside.writer.status()["signed"] == 8 or None, "a checkpoint after the jump")
    assert size != 8
    store = inside.writer._store
    eventually(lambda: store.anchored_size() == 8 or None, "an anchor after the jump")
    inside.running()


# ---- the network


class Cable:
    """A TCP relay to the broker that can go dead without a word, as a router does that forgets."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.connections = 0
        self._target = target
        self._dead = threading.Event()
        self._server = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is connected now hears nothing any more, and nobody tells it; new connections are good."""
        self._dead.set()
        self._dead = threading.Event()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection((LOOPBACK, self._target))
                self.connections += 1
                for one, other in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._carry, args=(one, other, self._dead), daemon=True
                    ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, dead: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not dead.is_set():
                    sink.sendall(data)
        if not dead.is_set():
            for one in (source, sink):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def test_a_connection_that_is_half_open(
    gateway: Gateway,
    ledger: LedgerDouble,
    broker: Broker,
    field: Field,
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network forgets a connection without closing it: the gateway finds out and misses nothing."""
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 2)
    gateway.enrol(board)
    cable = Cable(broker.port)
    inside = Inside(gateway, ledger.line, cable.port)
    try:
        inside.running()
        records = board.fill(9)
        field.send(board, records[:3])
        field.acked(board, 2)
        cable.cut()
        field.send(board, records[3:])

        field.acked(board, 8)

        assert cable.connections >= 2
        inside.running()
        assert [one.raw for one in records] == inside.writer._store.entries(0, 99)
    finally:
        inside.stop()
        cable.close()
