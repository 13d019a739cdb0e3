"""Probes, metrics, headers and logins of the HTTP side, on a real gateway."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, eventually
from tests.parts import LOOPBACK, Broker

PREFIX = "tallystick_gateway_"


def scraped(gateway: Gateway) -> dict[str, float]:
    """Sample name with its labels, and value."""
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    return {
        sample.name.removeprefix(PREFIX)
        + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_count_what_happened(gateway: Gateway, field: Field, broker: Broker) -> None:
    """A graph would tell another story than the log; a restart would look like a loss."""
    board, cloned = Board(), Board()
    gateway.enrol(board, cloned)
    gateway.start()
    records = board.fill(6)
    field.send(board, [*records[:3], records[2], *records[4:]])
    field.send(cloned, [*cloned.fill(3), cloned.make(2, bytes(32), cloned.records[1].body)])
    field.send_raw("tallystick/v1/0000000000000000/up", b"junk")
    gateway.counted("fork", 1)
    gateway.counted("rejected", 1)
    eventually(lambda: gateway.json("/healthz")["anchored"] == 9 or None, "anchored")

    found = scraped(gateway)
    assert {"admitted": 8, "duplicate": 1, "fork": 1, "disowned": 0, "rejected": 1} == {
        name.removesuffix("]").removeprefix("messages_received_total["): value
        for name, value in found.items()
        if name.startswith("messages_received_total[")
    }
    assert (1, 1, 2) == tuple(
        found[name] for name in ("chain_gap_records", "forked_devices", "enrolled_devices")
    )
    assert (9, 9, 9, 0) == tuple(
        found[name] for name in ("log_size", "signed_size", "anchored_tree_size", "anchor_pending")
    )
    assert (1, 0) == (found["state[running]"], found["state[frozen]"])
    assert found["anchor_last_success_timestamp_seconds"] > 1_700_000_000
    assert 1 == sum(v for k, v in found.items() if k.startswith("quarantine_messages["))
    assert not any(board.id.hex() in name for name in found)  # no label for a device by itself

    gateway.stop()
    gateway.extra = ("--device-metrics",)
    gateway.start()
    again = scraped(gateway)
    assert 8 == again["messages_received_total[admitted]"]
    assert again[f"device_last_seen_timestamp_seconds[{board.id.hex()}]"] > 1_700_000_000


def test_ready_is_not_healthy(gateway: Gateway, broker: Broker) -> None:
    """A balancer would send boards to a gateway that takes nothing in, or restart one that waits."""
    gateway.start()
    assert 200 == gateway.get("/readyz").status_code
    assert {"ready": True, "state": "running", "reason": ""} == gateway.json("/readyz")
    broker.stop()
    eventually(lambda: gateway.get("/readyz").status_code == 503 or None, "not ready")
    assert "not connected to the broker" == gateway.json("/readyz")["reason"]
    broker.start()
    eventually(lambda: gateway.get("/readyz").status_code == 200 or None, "ready again")


def test_every_answer_keeps_scripts_out(gateway: Gateway) -> None:
    """A device's name could run as a script in the operator's browser."""
    gateway.enrol(Board())
    gateway.start()
    for path in (
        "/",
        "/search?q=x",
        "/healthz",
        "/v1/devices",
        "/static/page.js",
        "/nowhere",
        "/metrics",
    ):
        headers = gateway.get(path, accept="text/html").headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self';"
        )
        assert "nosniff" == headers["x-content-type-options"]
    assert "<script>" not in gateway.get("/search?q=%3Cscript%3E").text
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        done = httpx.request(method, f"http://{LOOPBACK}:{gateway.http}/")
        assert 405 == done.status_code


def test_readings_behind_a_login(gateway: Gateway, field: Field, tmp_path: Path) -> None:
    """Whoever finds the address would read everybody's meters, though the operator asked for a login."""
    (tmp_path / "token").write_text("the token\n")
    gateway.extra = ("--token-file", str(tmp_path / "token"), "--readings-login")
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(2))
    field.acked(board, 1)
    device = board.id.hex()
    kept = ("/", "/search?q=x", f"/devices/{device}", "/v1/devices", f"/v1/devices/{device}",
            f"/v1/devices/{device}/proof?seq=1", "/v1/quarantine")  # fmt: skip
    basic = base64.b64encode(b"anybody:the token").decode()
    wrong = base64.b64encode(b"anybody:the toke").decode()
    for path in kept:
        refused = gateway.get(path)
        assert 401 == refused.status_code, path
        assert "Basic" in refused.headers["www-authenticate"]  # so that a browser asks
        for given in (f"Basic {wrong}", "Bearer nothing", "Basic !!!", "Basic", "nonsense"):
            assert 401 == gateway.get(path, authorization=given).status_code
        for given in ("Bearer the token", f"Basic {basic}"):
            assert 200 == gateway.get(path, authorization=given).status_code, path
    eventually(lambda: gateway.get("/checkpoint").status_code == 200 or None, "a checkpoint")
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/checkpoint",
        "/v1/identity",
        "/tile/0/000.p/2",
    ):
        assert 200 == gateway.get(path).status_code, path
    assert 401 == gateway.get("/tile/entries/000.p/2").status_code
    assert 200 == gateway.get("/tile/entries/000.p/2", authorization=f"Basic {basic}").status_code


def test_wrong_addresses(gateway: Gateway) -> None:
    """A traceback in the log for every robot that comes by."""
    gateway.enrol(Board())
    gateway.start()
    for path, status in (
        ("/devices/xyz", 404),
        (f"/devices/{'0' * 16}", 404),
        ("/?page=99999", 200),
        ("/?page=-1", 200),
        ("/static/../http.py", 404),
        ("/static/%2e%2e/http.py", 404),
        (f"/search?q={'x' * 5000}", 200),
        ("/search?q=%00", 200),
        ("/search?q=9999-99-99", 200),
        ("/search?q=2026-11-20T14:02%2B99:00", 200),
    ):
        assert status == gateway.get(path).status_code, path
    device = gateway.json("/v1/devices")["devices"][0]["id"]
    for query in ("span=2h", "until=x", "before=-1", "until=99999999999999"):
        assert 400 == gateway.get(f"/devices/{device}?{query}").status_code, query
    assert 200 == gateway.get(f"/devices/{device}?span=all&until=9999999999999").status_code
    assert "Traceback" not in gateway.errors.read_text()


def test_events_say_that_something_changed(gateway: Gateway, field: Field) -> None:
    """An open page would stand still."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    with httpx.stream("GET", f"http://{LOOPBACK}:{gateway.http}/events", timeout=20) as stream:
        assert "text/event-stream; charset=utf-8" == stream.headers["content-type"]
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        assert '"size": 0' in first
        field.send(board, board.fill(2))
        later = (line for line in lines if line.startswith("data: "))
        assert any('"size": 2' in line for line in later)
