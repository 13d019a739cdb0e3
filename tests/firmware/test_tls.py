"""A broker that is spoken to in TLS: only the one whose certificate this board's CA has signed, and only today."""

from __future__ import annotations

import datetime as dt
import ipaddress
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, check_chain, genesis_prev
from tests.parts import Broker, free_port

DAY = dt.timedelta(days=1)


class Authority:
    """A CA with a P-256 key."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site CA")])
        self.der = (
            self._builder(self._name, self._key.public_key(), 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + days * DAY)
        )

    def server(self, folder: Path, name: str = "localhost", days: int = 10) -> str:
        """The lines of mosquitto's configuration for a listener with a certificate for `name`."""
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if name == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        certificate = (
            self._builder(subject, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return f"certfile {folder / 'cert.pem'}\nkeyfile {folder / 'key.pem'}\n"


StartBroker = Callable[..., Broker]


def tls_broker(start: StartBroker, lines: str) -> tuple[Broker, int]:
    """A broker with a plain listener for the gateway and one in TLS; the port of the latter."""
    port = free_port()
    return start(config=f"listener {port} 127.0.0.1\n{lines}"), port


def prepare(board: VirtualBoard, port: int, ca: bytes, host: str = "localhost") -> Signer:
    """A board that speaks TLS with this port, with a clock that a person set. The gateway's signer."""
    owner, signer = Signer(), Signer()
    board.provision(owner, signer, port, broker_tls=1, broker_host=host)
    board.ok(f"set ca {ca.hex()}")
    board.ok(f"set time {int(time.time())}")
    board.ok("run")
    return signer


@pytest.mark.parametrize("bits", [64, 32])
def test_records_over_tls(tmp_path: Path, start_broker: StartBroker, bits: int) -> None:
    """A login on an open network must not be readable; and TLS must leave the board room to work."""
    authority = Authority()
    broker, port = tls_broker(start_broker, authority.server(tmp_path / "server"))
    with VirtualBoard(tmp_path / "board", bits=bits) as board:
        public = bytes.fromhex(board.info()["key"])
        signer = Signer()
        with GatewayDouble(broker.port, public, signer) as gateway:
            prepare(board, port, authority.der)
            records = gateway.wait(5)
            check_chain(records, genesis_prev(public))
            assert 1 == records[0].payload[7]  # the clock of the `open`: set by hand
            status = board.wait("connected", True)
            print(f"free heap of the {bits}-bit board, in TLS: {status['free']} bytes")
            assert status["free"] > 20 * 1024


def test_refused_certificates(tmp_path: Path, start_broker: StartBroker) -> None:
    """Whoever answers in the broker's place must get nothing: no login, no record."""
    authority, stranger = Authority(), Authority()
    cases = [
        ("wrong CA", stranger.server(tmp_path / "a"), "localhost", "not correctly signed"),
        ("wrong name", authority.server(tmp_path / "b", "other.test"), "localhost", "Common Name"),
        ("expired", authority.server(tmp_path / "c", days=-1), "localhost", "expired"),
    ]
    with VirtualBoard(tmp_path / "board") as board:
        prepare(board, free_port(), authority.der)
        for name, lines, host, words in cases:
            port = free_port()
            broker = start_broker(
                name.replace(" ", ""), config=f"listener {port} 127.0.0.1\n{lines}"
            )
            board.ok(f"set broker {host} {port}")
            status = wait_for_link(board, words)
            assert status["link"].startswith("the broker's certificate: ")
            assert ("certificate", False, 0) == (
                status["light"],
                status["connected"],
                status["sessions"],
            )
            broker.stop()


def wait_for_link(board: VirtualBoard, words: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while words not in str((status := board.status())["link"]):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return status


def test_plain_port(tmp_path: Path, broker: Broker) -> None:
    """The commonest mistake is the wrong port: it is said as such, and nothing goes out in plain text."""
    with VirtualBoard(tmp_path / "board") as board:
        prepare(board, broker.port, Authority().der)
        status = wait_for_link(board, "no TLS with this broker")
        assert "certificate" == status["light"]


def test_silent_port(tmp_path: Path) -> None:
    """A handshake that nobody answers must not stop the readings for longer than its limit."""
    import socket

    with socket.socket() as listener, VirtualBoard(tmp_path / "board") as board:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        prepare(board, listener.getsockname()[1], Authority().der)
        time.sleep(1)
        before = board.status()["next"]  # answered when the handshake was given up
        assert "error 110" in wait_for_link(board, "no TLS with this broker")["link"]
        time.sleep(0.5)
        assert board.status()["next"] > before


def test_no_clock_no_tls(tmp_path: Path, start_broker: StartBroker) -> None:
    """Without a time no certificate can be judged: the board says what it needs instead of trusting it."""
    authority = Authority()
    broker, port = tls_broker(start_broker, authority.server(tmp_path / "server"))
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, port, broker_tls=1, broker_host="localhost")
        board.ok("run")
        assert "ERROR ca a certificate in DER starts with 30" == board.command("set ca 00")
        board.ok(f"set ca {authority.der.hex()}")
        status = wait_for_link(board, "no TLS before the clock is set")
        assert "no clock" == status["light"]
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok(f"set time {int(time.time())}")
            gateway.wait(5)
            board.wait("queue", 0)
            # a power cut: the time of the last acknowledgement will do for a certificate, and for nothing else
            board.restart()
            count = len(gateway.records)
            gateway.automatic = False
            records = gateway.wait(count + 3)
            opened = next(r for r in records[count - 1 :] if r.kind == 0)
            assert (0, True) == (opened.payload[7], opened.payload[2] < 2**30)
            assert [] == [line for line in board.said if line.startswith("# no TLS")][1:]
