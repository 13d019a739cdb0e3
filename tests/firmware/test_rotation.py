"""A new key for a board that stays the same device: over the wire, and with the power going at any moment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tallystick.chain import Chain, Result
from tallystick.keys import PublicKey
from tallystick.record import parse
from tests.firmware.bench import (
    CHALLENGE,
    GatewayDouble,
    Signed,
    Signer,
    VirtualBoard,
    board_command,
    kid,
)
from tests.parts import Broker

NONCE = bytes(range(16))


def follow(records: list[bytes], first: bytes) -> Chain:
    """The library's chain after these records, which must all be its own."""
    chain = Chain(PublicKey.from_bytes(first, -19))
    for data in records:
        assert Result.ADMITTED == chain.admit(parse(data)).result
    return chain


def test_rotation(tmp_path: Path, broker: Broker) -> None:
    """An owner whose board was in strange hands wants another key, and keep its name and its history."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port)
        identity = board.info()["id"]
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(4)
            assert "ERROR confirm type: rotate and the id of this board" == board.command("rotate")
            new = bytes.fromhex(board.ok(f"rotate {identity}"))
            assert (identity, new.hex()) == (board.info()["id"], board.info()["key"])
            gateway.automatic = True
            gateway.wait(len(gateway.records) + 4)
            board.wait("queue", 0)
            board.restart()
            records = gateway.wait(len(gateway.records) + 4)
            chain = follow([record.data for record in records], public)
            assert new == chain.periods[-1].key.raw
            answer = Signed(
                bytes.fromhex(board.ok(f"challenge {NONCE.hex()}")), new, CHALLENGE
            ).payload
            assert [kid(public), NONCE, -19, new] == answer[:4]


def test_power_cut_in_a_rotation(micropython64: list[str], tmp_path: Path) -> None:
    """A cut that leaves two keys forks the chain, one that leaves none loses the board."""
    done = subprocess.run(
        board_command(micropython64, "rotate.py"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert "" == done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    old, new = (bytes.fromhex(word) for word in lines[0][1:])
    lives = [line for line in lines if line[0] == "life"]
    assert len(lives) > 60
    assert {"old", "new"} == {state for _, _, state, _ in lives}
    for _, n, state, listed in lives:
        records = [bytes.fromhex(word) for word in listed.split(",")]
        chain = follow(records, old)
        assert (new if state == "new" else old) == chain.periods[-1].key.raw, f"operation {n}"
