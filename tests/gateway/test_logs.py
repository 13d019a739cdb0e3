"""The service's log is JSON, whoever speaks.

If this fails, a journal's reader drops the very line that says why a gateway stands still.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tallystick import topics
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, eventually

_SPEAKERS = """
import logging, threading, structlog
from tallystick_gateway.logs import log_json
log_json()
structlog.get_logger().info("ours", number=1)
structlog.get_logger().debug("below the level")
logging.getLogger("uvicorn.error").info("a library's chatter")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("uvicorn.error").exception("a library's\\ntrouble %s", "here")
thread = threading.Thread(target=lambda: {}["missing"], name="the-thread")
thread.start()
thread.join()
"""


def test_whoever_speaks_speaks_json() -> None:
    """Our own lines, a library's warnings, and what a thread dies of."""
    done = subprocess.run(
        [sys.executable, "-c", _SPEAKERS], capture_output=True, text=True, check=True
    )

    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert ["ours", "a library's\ntrouble here", "a thread has ended"] == [
        one["event"] for one in said
    ]
    assert ["info", "error", "error"] == [one["level"] for one in said]
    assert "ZeroDivisionError" in said[1]["exception"]
    assert "uvicorn.error" == said[1]["logger"]
    assert ("the-thread", True) == (said[2]["thread"], "KeyError" in said[2]["exception"])
    assert all(one["timestamp"].endswith("Z") for one in said)


def test_the_log_of_a_service(gateway: Gateway, field: Field) -> None:
    """From its start to its end, with a forger at the door and a fork on the way."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(3)
    field.send(board, records)
    field.send_raw(topics.Device(board.id).up, b"noise")
    twin = board.make(2, records[1].id, records[2].body, time=records[2].time + 1)
    field.send(board, [twin])
    eventually(lambda: b'"fork"' in gateway.errors.read_bytes() or None, "a warning of the fork")
    assert 404 == gateway.get("/nowhere").status_code
    gateway.stop()

    lines = gateway.errors.read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert {"running", "connected", "enrolment read", "fork"} <= set(events)
