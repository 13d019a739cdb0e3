"""A record that the disk has changed: its own device's trouble, and nobody else's.

If this fails, one bad sector keeps every board's readings out, or the page of all boards from showing.
"""

from __future__ import annotations

import json
import sqlite3

import pytest

from tallystick import topics
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, command, eventually


def damage(gateway: Gateway, board: Board, seq: int) -> None:
    """Overwrite a stored record; the length stays."""
    database = sqlite3.connect(gateway.folder / "gateway.db", isolation_level=None)
    done = database.execute(
        "UPDATE leaves SET raw = zeroblob(length(raw)) WHERE device = ? AND seq = ?",
        (board.id, seq),
    )
    assert 1 == done.rowcount
    database.close()


def internal(field: Field, board: Board) -> bool:
    """Was the board told that the trouble is the gateway's?"""
    raw = field.newest.get(topics.Device(board.id).rejected)
    return raw is not None and json.loads(raw)["code"] == "gateway.internal"


@pytest.mark.parametrize("covered", [True, False])
def test_a_damaged_head_stops_its_own_device(gateway: Gateway, field: Field, covered: bool) -> None:
    """Another board's records are taken in and acknowledged, and every page but the one's is there."""
    hurt, well = Board(), Board()
    gateway.enrol(hurt, well)
    gateway.extra = ("--adapter", "senml", *(() if covered else ("--checkpoint-interval", "3600")))
    gateway.start()
    field.send(hurt, hurt.fill(5))
    field.send(well, well.fill(5))
    field.acked(hurt, 4)
    field.acked(well, 4)
    if covered:
        eventually(lambda: gateway.json("/healthz")["signed"] == 10, "checkpoint")
    gateway.kill()
    damage(gateway, hurt, 4)

    gateway.start()

    field.send(well, [well.read()])
    field.acked(well, 5)
    field.send(hurt, [hurt.read()])
    eventually(lambda: internal(field, hurt) or None, "the reason is told")
    field.send(well, [well.read()])
    field.acked(well, 6)
    ack = field.ack(hurt)
    assert ack is not None
    assert 4 == ack.upto
    for path in ("/", "/v1/devices", f"/v1/devices/{well.id.hex()}", f"/devices/{well.id.hex()}"):
        assert 200 == gateway.get(path).status_code, path
    for path in (f"/v1/devices/{hurt.id.hex()}", f"/devices/{hurt.id.hex()}"):
        answer = gateway.get(path)
        assert 503 == answer.status_code
        assert "fsck" in answer.text
    assert 200 == gateway.get(f"/v1/devices/{well.id.hex()}/proof?seq=3").status_code
    assert 200 == gateway.get("/metrics").status_code
    shown = topics.Device(well.id).standing
    field.newest.clear()
    field.send(well, [well.read()])
    eventually(
        lambda: any(name.startswith(shown) and "senml" in name for name in field.newest) or None,
        "the adapter goes on",
    )
    assert "running" == gateway.json("/healthz")["state"]
    if covered:
        eventually(lambda: gateway.json("/healthz")["signed"] == 13, "the log goes on")
    checked = command("fsck", "--dir", gateway.folder, check=False)
    assert 1 == checked.returncode
    assert b"seq 4): " in checked.stdout
