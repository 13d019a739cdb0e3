"""Flash and non-volatile storage that take nothing more: a state that the board tells, never a crash or a fork."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path

import pytest

from tests.firmware.bench import (
    WAIT_S,
    GatewayDouble,
    Signer,
    VirtualBoard,
    check_chain,
    genesis_prev,
)
from tests.firmware.test_end_to_end import world
from tests.parts import ROOT, Broker


@pytest.mark.parametrize(
    ("trouble", "number"),
    [("flash full", 28), ("nvs full", -4357), ("nvs broken", 5)],
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


def test_flash_that_fails(tmp_path: Path, broker: Broker) -> None:
    """After an error littlefs does not know what it has written: only a reset helps, and a board must make it itself,
    say why, and go on with its chain when the flash takes records again."""
    owner, signer = Signer(), Signer()
    world(VirtualBoard(tmp_path / "board"), storage="good")
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        public = board.provision(owner, signer, broker.port, interval_ms=100)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            gateway.wait(5)
            world(board, storage="flash read-only")
            status = board.wait("light", "storage")
            assert ("idle", "error 30") == (status["state"], status["storage"])
            deadline = time.monotonic() + WAIT_S
            while "# reset, because the flash failed" not in board.said:
                assert time.monotonic() < deadline, board.said
                time.sleep(0.05)
            board.wait("light", "storage")  # again: the reset alone does not mend a flash
            world(board, storage="good")
            while len([record for record in gateway.chain() if record.kind == 0]) < 2:
                assert time.monotonic() < deadline + WAIT_S, board.said
                time.sleep(0.05)
            check_chain(gateway.wait(len(gateway.records) + 5), genesis_prev(public))
            assert board.status()["storage"] is None
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


STORES = ("get_i32", "set_i32", "get_blob", "set_blob", "erase_key")
SHARED = {"sim"}  # board.py asks whether modem/card.py has written it


def names_in_storage(tree: ast.Module) -> set[str]:
    """The names in non-volatile storage that a module defines and uses."""
    texts = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        at = 0 if node.func.attr in STORES else 1 if node.func.attr in ("blob", "number") else None
        if at is None or len(node.args) <= at:
            continue
        name = node.args[at]
        text = texts.get(name.id) if isinstance(name, ast.Name) else None
        text = name.value if isinstance(name, ast.Constant) else text
        if isinstance(text, str):
            found.add(text)
    return found


def test_a_name_in_storage_is_one_modules() -> None:
    """There is one space of names: a module that took another's would overwrite it, the place of an agent, say."""
    owners: dict[str, list[str]] = {}
    for path in sorted((ROOT / "firmware").glob("[!v]*/*.py")):
        for name in names_in_storage(ast.parse(path.read_text())):
            owners.setdefault(name, []).append(path.stem)
    assert len(owners) > 10
    assert {} == {
        name: stems for name, stems in owners.items() if len(stems) > 1 and name not in SHARED
    }
