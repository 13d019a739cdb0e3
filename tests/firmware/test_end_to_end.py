"""A board, a real broker and a gateway: records arrive, and leave the board only when they are safe."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, check_chain, genesis_prev
from tests.parts import Broker

MIN_FREE_BYTES = 30 * 1024


@pytest.mark.parametrize("bits", [64, 32])
def test_all_records_arrive_linked_and_signed(tmp_path: Path, broker: Broker, bits: int) -> None:
    """A board of either word width whose records a gateway could not check would be useless."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", bits=bits) as board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            records = gateway.wait(8)
            check_chain(records, genesis_prev(public))
            assert 0 == records[0].kind
            assert {"load", "memory", "chip"} == {
                name.decode() for name, _, _ in records[0].payload[9]
            }
            assert {2, 3} <= {record.kind for record in records[1:]}
            clock = next(r for r in records if r.kind == 3 and r.payload[4] == 0)
            assert clock.payload[5] < 2**30 < 1767225600 < clock.payload[6]
            board.ok("set interval 60000")  # so that an emulated board can catch up
            board.wait("queue", 0)


def test_32_bit_heap_leaves_room(tmp_path: Path, broker: Broker) -> None:
    """An ESP32 that has too little heap left while it queues would crash on the first TLS or Wi-Fi event."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", bits=32, heap="111k") as board:
        public = board.provision(owner, signer, broker.port, batch=1, interval_ms=100)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.restart()
            gateway.wait(3)
            gateway.acknowledge()
            gateway.wait(12)
            status = board.status()
            print(f"free heap of the 32-bit board, connected and queueing: {status['free']} bytes")
            assert status["connected"]
            assert status["queue"] > 0
            assert status["free"] >= MIN_FREE_BYTES


@pytest.fixture
def owner() -> Signer:
    return Signer()


def world(board: VirtualBoard, **facts: object) -> None:
    """Change the world around the virtual board."""
    board.folder.mkdir(exist_ok=True)
    beside = board.folder / "world.new"
    beside.write_text(json.dumps(facts))
    beside.rename(board.folder / "world.json")


def test_puback_frees_nothing(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A broker acknowledges for subscribers that are away: only the gateway's word may free a record."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        board.ok("run")
        deadline = time.monotonic() + 20
        while board.status()["queue"] < 12:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        status = board.status()
        assert status["connected"]
        assert (None, 0) == (status["upto"], status["first"])
        # nobody was there when they were published; whoever comes gets them after a new connection
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.restart()
            gateway.automatic = True
            check_chain(gateway.wait(status["next"])[: status["next"]], genesis_prev(public))
            deadline = time.monotonic() + 20
            while (board.status()["upto"] or 0) < status["next"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_records_wait_for_the_network(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A field without a network is the normal case: everything measured meanwhile comes later, in order."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        world(board, radio="off")
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            deadline = time.monotonic() + 20
            while board.status()["queue"] < 10:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert {} == gateway.records
            assert "no network" == board.status()["link"]
            world(board)
            check_chain(gateway.wait(10), genesis_prev(public))


def test_broker_restart(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A broker that is restarted for an update must not cost a record or need a visit to the board."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        board.ok("run")
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            count = len(gateway.wait(4))
        broker.stop()
        board.wait("connected", False)
        time.sleep(0.5)
        broker.start()
        with GatewayDouble(broker.port, public, signer) as again:
            again.records.update(gateway.records)
            check_chain(again.wait(count + 8), genesis_prev(public))
            assert board.wait("connected", True)["sessions"] >= 2


def test_missing_records_are_sent_again(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A gateway that was restored from a backup asks for what it lost, even if it once acknowledged it."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(6)
            held = gateway.upto()
            gateway.acknowledge()
            board.reach("upto", held)
            for seq in (1, 2, 4):
                del gateway.records[seq]
            gateway.acknowledge(missing=[[1, 2], [4, 4]])
            deadline = time.monotonic() + 20
            while not {1, 2, 4} <= set(gateway.records):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert [1, 2, 4] == [seq for seq in gateway.arrivals[6:] if seq in (1, 2, 4)]
            check_chain(gateway.chain(), genesis_prev(public))


def test_power_cuts_while_publishing(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """Whatever the moment of a power cut, the chain at the gateway has one record for each seq, linked."""
    signer = Signer()
    chance = random.Random(7)
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        board.ok("run")
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.wait(1)
            for turn in range(6):
                if turn % 2:
                    board.wait("state", "ready")  # the others are cut wherever they are by then
                time.sleep(0.3 + chance.random() * 0.5)
                board.restart()
            gateway.automatic = True
            count = board.status()["next"]
            check_chain(gateway.wait(count)[:count], genesis_prev(public))
            opens = [record for record in gateway.chain() if record.kind == 0]
            boots = [record.payload[4] for record in opens]
            # a start that was cut off before its `open` has none
            assert len(boots) > 2
            assert sorted(set(boots)) == boots
            for record in gateway.chain():
                if record.kind == 1:
                    assert record.payload[4] == max(o.seq for o in opens if o.seq < record.seq)


def test_state_and_last_will(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A dashboard shows a board that lost power as lost, not as ready."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(2)
            board.kill()
            deadline = time.monotonic() + 20
            while "lost" not in gateway.states:
                assert time.monotonic() < deadline, gateway.states
                time.sleep(0.05)
            assert ["ready", "lost"] == gateway.states


def test_batches_and_change_of_configuration(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """Readings of a batch need their interval, and those after a change an `open` that states it."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        world(board, clock="host")
        public = board.provision(owner, signer, broker.port, interval_ms=100, batch=4)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(6)
            readings = [record for record in gateway.chain() if record.kind == 1]
            assert [4, 4, 4] == [len(column) for column in readings[0].payload[6:]]
            interval = readings[0].payload[5]
            assert interval == 1 or (3 == len(interval) and 3 <= sum(interval) <= 4)
            opened = gateway.records[0]
            assert (100, 1) == (opened.payload[10], opened.payload[7])
            assert abs(time.time() - opened.payload[2]) < 30
            board.ok("set interval 50000")
            deadline = time.monotonic() + 20
            while not [r for r in gateway.chain() if r.kind == 0 and r.seq]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            again = [record for record in gateway.chain() if record.kind == 0][1]
            assert 1000 == again.payload[10]
            event = gateway.wait(again.seq + 2)[again.seq + 1]
            assert [3, 4] == event.payload[3:5]
            assert 16 == len(event.payload[5])


def test_unreadable_record_is_named(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """One bad spot on the flash costs one record, named by the board, and not the ones behind it."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        world(board, radio="off")
        board.ok("run")
        deadline = time.monotonic() + 20
        while board.status()["queue"] < 8:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (segment,) = (tmp_path / "board" / "flash" / "journal").glob("*.log")
        data = bytearray(segment.read_bytes())
        at = 0
        for _ in range(3):
            at += 6 + int.from_bytes(data[at : at + 2], "big")
        with segment.open("r+b") as file:
            file.seek(at + 50)
            file.write(bytes([data[at + 50] ^ 1]))
        world(board)
        with GatewayDouble(broker.port, public, signer) as gateway:
            deadline = time.monotonic() + 20
            while [3, 1, 3, 3] not in [record.payload[3:] for record in gateway.chain()]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert 3 not in gateway.records
            assert set(range(8)) - {3} <= set(gateway.records)


SENSOR = """
class Sensor:
    channels = (("level", "m", -3), ("pressure", "Pa", 0))

    def read(self):
        try:
            with open("../level") as file:
                return int(file.read()), 101325
        except ValueError:
            return None, 101325
"""


def test_sensor_that_fails(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """Who reads a null wants to know since when the probe was broken; who built a probe writes one class."""
    signer = Signer()
    level = tmp_path / "board" / "level"
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100, sensor="tank")
        board.ok("run")
        board.wait("state", "no sensor")
        (tmp_path / "board" / "flash" / "tank.py").write_text(SENSOR)
        level.write_text("1500")
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(5)
            assert [[b"level", b"m", -3], [b"pressure", b"Pa", 0]] == gateway.records[0].payload[9]
            for content in ("broken", "9" * 20, "1200", None):
                beside = tmp_path / "board" / "level.new"
                beside.write_text(content or "")
                beside.rename(level)
                if content is None:
                    level.unlink()  # the driver raises
                gateway.wait(len(gateway.records) + 5)
            events = [
                record.payload[5:] for record in gateway.chain() if record.payload[3:5] == [3, 5]
            ]
            assert [[0, 1], [0, 2], [0, 0], [0, 1]] == events[:4]
            assert [1, 1] == events[4]
            columns = [record.payload[6:] for record in gateway.chain() if record.kind == 1]
            seen = [[[1500], [101325]], [[None], [101325]], [[1200], [101325]], [[None], [None]]]
            assert seen == [column for i, column in enumerate(columns) if column not in columns[:i]]


def test_channels_that_do_not_fit(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """An `open` above 256 bytes is rejected by every gateway: better no sensor than records for nothing."""
    with VirtualBoard(tmp_path / "board") as board:
        board.provision(owner, Signer(), broker.port, sensor="tank")
        long = SENSOR.replace(
            '"level"', '"level of the water in the northern tank number three"' + "* 3"
        )
        (tmp_path / "board" / "flash" / "tank.py").write_text(long)
        board.ok("run")
        board.wait("state", "no sensor")
        assert 0 == board.status()["next"]


def test_board_without_a_sensor(tmp_path: Path, broker: Broker, owner: Signer) -> None:
    """A bare module from the drawer still shows that the way to the gateway works."""
    signer = Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, sensor="tally.chip_sensor")
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            opened = gateway.wait(3)[0]
            assert [[b"chip", b"Cel", 0], [b"free", b"B", 0]] == opened.payload[9]
