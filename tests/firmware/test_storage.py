"""Flash and non-volatile storage that take nothing more: a state that the board tells, never a crash or a fork."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, check_chain, genesis_prev
from tests.firmware.test_end_to_end import world
from tests.parts import Broker


@pytest.mark.parametrize(
    ("trouble", "number"),
    [("flash full", 28), ("flash read-only", 30), ("nvs full", -4357), ("nvs broken", 5)],
)
def test_storage_trouble(tmp_path: Path, broker: Broker, trouble: str, number: int) -> None:
    """Storage fails in the field: the board says so, signs nothing that it cannot keep, and goes on when it can."""
    owner, signer = Signer(), Signer()
    world(VirtualBoard(tmp_path / "board"), storage="good")
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            gateway.wait(5)
            world(board, storage=trouble)
            status = board.wait("light", "storage")
            assert f"error {number}" == status["storage"]
            stuck = board.status()["next"]
            answer = board.command("set batch 2")
            if trouble.startswith("flash"):
                assert f"ERROR storage {number}" == answer
                assert 1 == json.loads(board.ok("config"))["batch"]
            # acknowledgements and grants need storage, too
            gateway.acknowledge(time_s=2000000000)
            gateway.publish_grant(signer, owner.grant(signer, 7))
            board.wait("connected", True)
            assert board.status()["next"] - stuck <= 1
            assert "ERROR" in board.command(f"rotate {board.info()['id']}")
            world(board, storage="good")
            board.wait("storage", None)
            records = gateway.wait(stuck + 5)
            check_chain(records, genesis_prev(public))
            board.restart()
            check_chain(gateway.wait(len(gateway.records) + 5), genesis_prev(public))
            assert "Traceback" not in "\n".join(board.said)


def test_start_with_broken_storage(tmp_path: Path) -> None:
    """A board whose storage fails at the start must still answer, and must not take a new key."""
    with VirtualBoard(tmp_path / "board") as board:
        key = board.info()["key"]
        for trouble in ("nvs full", "flash broken"):
            board.kill()
            world(board, storage=trouble)
            board.start()
            assert "fault" == board.info()["state"]
            assert board.command("status").startswith("ERROR fault ")
        board.kill()
        world(board)
        board.start()
        assert key == board.info()["key"]
