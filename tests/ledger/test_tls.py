"""A ledger that speaks TLS to its broker: logins and blocks are nobody else's to read on the way."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick_gateway import authority
from tests.ledger.site import Ledger, until
from tests.parts import LOOPBACK, Broker


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A site's authority and its broker's certificate, and a stranger's authority."""
    folder = tmp_path / "tls"
    folder.mkdir()
    now = dt.datetime.now(dt.UTC)
    own, other = (authority.make_authority(name, now) for name in ("site", "stranger"))
    server = authority.make_server(own, [LOOPBACK], now)
    (folder / "ca.pem").write_bytes(own.certificate)
    (folder / "other.pem").write_bytes(other.certificate)
    (folder / "server.pem").write_bytes(server.certificate)
    (folder / "server.key").write_bytes(server.key)
    return folder


def test_only_the_pinned_authority_is_believed(tmp_path: Path, certificates: Path) -> None:
    """Whoever stands between ledger and broker could read the login, and hold blocks back."""
    config = f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key"
    with Broker(tmp_path / "broker", config=config) as broker:
        ledger = Ledger(tmp_path / "site", broker.port)
        try:
            ledger.start("--ca-file", str(certificates / "other.pem"))
            until(lambda: _unreachable(ledger, "CERTIFICATE_VERIFY_FAILED"), "a refusal")
            ledger.kill()

            ledger.start("--ca-file", str(certificates / "ca.pem"))
            ledger.wait_connected(1)
            until(lambda: ledger.index() >= 2, "milestones")
            assert 0 == ledger.stop()
        finally:
            ledger.kill()


def _unreachable(ledger: Ledger, why: str) -> bool:
    return any(
        one["event"] == "broker unreachable" and why in one["reason"] for one in ledger.events()
    )


def test_a_file_without_a_certificate(tmp_path: Path) -> None:
    """A mistaken file is said at once, before anything is sent in the clear or waited for."""
    ledger = Ledger(tmp_path / "site", 1)
    junk = tmp_path / "ca.pem"
    junk.write_text("no certificate")
    done = ledger.command("run", "--broker", f"{LOOPBACK}:1", "--ca-file", str(junk))
    assert 1 == done.returncode
    assert f"error: no certificate can be read in '{junk}'\nhint: " in done.stderr
    gateway = [sys.executable, "-m", "tallystick_gateway"]
    folder = str(tmp_path / "gateway")
    subprocess.run([*gateway, "init", "--dir", folder], check=True, capture_output=True)
    argv = ["run", "--dir", folder, "--broker", f"{LOOPBACK}:1", "--ledger", ledger.name]
    asked = subprocess.run(
        [*gateway, *argv, "--ca-file", str(junk)], capture_output=True, text=True, check=False
    )
    assert 2 == asked.returncode
    assert f"error: no certificate can be read in '{junk}'\nhint: " in asked.stderr
