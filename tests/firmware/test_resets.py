"""What a board does by itself when something hangs, and how it sleeps between readings."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, check_chain, genesis_prev
from tests.firmware.test_end_to_end import world
from tests.parts import Broker

HANGING = """
class Sensor:
    channels = (("level", "m", -3),)

    def read(self):
        try:
            open("../hang").close()
        except OSError:
            return (7,)
        while True:
            pass
"""


def test_watchdog(tmp_path: Path, broker: Broker) -> None:
    """A driver that hangs must cost the time of the watchdog, and no visit to the board."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    with VirtualBoard(folder, restart=True) as board:
        (folder / "flash").mkdir(parents=True)
        (folder / "flash" / "tank.py").write_text(HANGING)
        world(board, watchdog_ms=1500)
        public = board.provision(owner, signer, broker.port, interval_ms=100, sensor="tank")
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(5)
            time.sleep(2)  # it is fed while all is well
            (folder / "hang").touch()
            time.sleep(1)
            assert 1 == len([r for r in gateway.chain() if r.kind == 0])
            time.sleep(1)
            (folder / "hang").unlink()
            count = len(gateway.records)
            records = gateway.wait(count + 5)
            opens = [record for record in records if record.kind == 0]
            assert 2 <= len(opens) <= 3
            assert sorted({record.payload[4] for record in opens}) == [
                record.payload[4] for record in opens
            ]
            check_chain(records, genesis_prev(public))


def test_watchdog_ends_the_process(tmp_path: Path, broker: Broker) -> None:
    """Whoever supervises the simulator must see a hang as a hang; and 0 must really be none."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    with VirtualBoard(folder) as board:
        (folder / "flash").mkdir(parents=True)
        (folder / "flash" / "tank.py").write_text(HANGING)
        (folder / "hang").touch()
        world(board, watchdog_ms=500)
        board.provision(owner, signer, broker.port, sensor="tank", watchdog_s=0)
        board.type("run\n")
        time.sleep(2)
        assert board.running()
        board.kill()
        config = folder / "flash" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "watchdog_s": 60}))
        board.start()
        assert -signal.SIGALRM == board.ended()


def test_deep_sleep(tmp_path: Path, broker: Broker) -> None:
    """A battery lasts if the board sleeps; the chain must not show the difference."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        public = board.provision(
            owner, signer, broker.port, interval_ms=600, batch=3, sleep=1, awake_s=3
        )
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.restart()  # nobody types from here on
            sleeps(board, 12)
            assert 1 == len([r for r in gateway.chain() if r.kind == 0])
            before = len(board.said)
            board.restart()  # a power cut
            sleeps(board, 8, before)
            gateway.wait(len(gateway.records) + 2)
            records = gateway.chain()
            check_chain(records, genesis_prev(public))
            opens = [record for record in records if record.kind == 0]
            assert 2 == len(opens)  # one for each start, none for a wake-up
            assert opens[0].payload[4] + 1 == opens[1].payload[4]
            full = [r for r in records if r.kind == 1 and len(r.payload[6]) == 3]
            assert len(full) >= 5  # batches that several lives have filled
            for record in records:
                if record.kind == 1:
                    assert record.payload[4] == max(o.seq for o in opens if o.seq < record.seq)
                if record.kind == 1 and len(record.payload[6]) == 3:
                    interval = record.payload[5]
                    steps = [interval] * 2 if isinstance(interval, int) else interval
                    tick_ms = next(o for o in reversed(opens) if o.seq < record.seq).payload[10]
                    assert all(200 <= step * tick_ms <= 6000 for step in steps), steps
            assert {"ready", "sleeping"} <= set(gateway.states)
            assert "disconnected" not in gateway.states


def sleeps(board: VirtualBoard, count: int, since: int = 0) -> None:
    """Wait until the board has fallen asleep so many times."""
    deadline = time.monotonic() + 90
    while sum(line.startswith("# asleep") for line in board.said[since:]) < count:
        assert time.monotonic() < deadline, board.said[-10:]
        time.sleep(0.1)


def test_sleeping_board_can_be_talked_to(tmp_path: Path, broker: Broker) -> None:
    """A board that sleeps must listen after a reset, else its settings could never be changed again."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        board.provision(owner, signer, broker.port, interval_ms=60000, sleep=1, awake_s=5)
        board.restart()
        assert "ready" == board.wait("state", "ready")["state"]
        time.sleep(6)
        assert 1 == board.status()["boots"] - 1
        board.ok('set config {"sleep": 0}')
        assert 0 == json.loads(board.ok("config"))["sleep"]


def test_few_wake_ups_publish(tmp_path: Path, broker: Broker) -> None:
    """The radio empties the battery: a board that may wait for four records must not switch it on for one, nor send
    again what is safe.
    """
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        public = board.provision(
            owner, signer, broker.port, interval_ms=800, sleep=1, awake_s=2, publish_every=4
        )
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.restart()  # nobody types from here on
            sleeps(board, 1)
            begin, arrived = len(board.said), len(gateway.arrivals)
            sleeps(board, 12, begin)
            connected = sum(line.startswith("# connected") for line in board.said[begin:])
            assert 2 <= connected <= 4
            new = gateway.arrivals[arrived:]
            assert len(new) == len(set(new)) >= 8
            check_chain(gateway.chain(), genesis_prev(public))
