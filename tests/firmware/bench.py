"""What the tests of the firmware stand on: a virtual board, an owner, and a gateway of a few lines.

Everything that a board says is checked with `cbor2` and `cryptography`, never with code that the board or the
library runs: the specification is the only thing that they share.
"""

from __future__ import annotations

import hashlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import cbor2
import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from paho.mqtt.enums import CallbackAPIVersion

from tests import parts

FIRMWARE = parts.ROOT / "firmware"
RECORD, ACKNOWLEDGEMENT, CHALLENGE, GRANT = 65000, 65002, 65004, 65005
PREFIX = "tallystick/v1"
WAIT_S = 30.0
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def kid(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:8]


def canonical(value: object) -> bytes:
    return bytes(cbor2.dumps(value, canonical=True))


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052, 4.4."""
    return canonical(["Signature1", protected, b"", payload])


class Signer:
    """An owner, a gateway or a stranger: somebody with a key."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = self._key.public_key().public_bytes_raw()
        self.kid = kid(self.public)

    def sign(self, typ: int, payload: object) -> bytes:
        return self.sign_bytes(typ, canonical(payload))

    def sign_bytes(self, typ: int, payload: bytes) -> bytes:
        protected = canonical({1: -19, 4: self.kid, 16: typ})
        signature = self._key.sign(to_be_signed(protected, payload))
        return canonical(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    def grant(self, gateway: Signer, serial: int = 1, origin: str | None = None) -> bytes:
        name = origin or f"tallystick/{gateway.kid.hex()}"
        return self.sign(GRANT, [gateway.public, name.encode(), serial])

    def acknowledgement(
        self,
        device: bytes,
        upto: int | None,
        identity: bytes | None,
        *,
        missing: list[list[int]] | None = None,
        time_s: int = 1800000000,
        size: int = 1,
        milestone: list[bytes] | None = None,
        nonce: bytes = bytes(16),
    ) -> bytes:
        root = hashlib.sha256(b"root %d" % size).digest()
        facts = [device, upto, identity, missing or [], time_s, size, root, milestone, nonce]
        return self.sign(ACKNOWLEDGEMENT, facts)


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    """Section 2 of the specification: Ed25519, or P-256 with the smaller s."""
    if len(public) == 32:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert len(signature) == 64
    assert s <= P256_ORDER // 2
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


class Signed:
    """A signed object of the board, checked on construction against section 3 of the specification."""

    def __init__(self, data: bytes, public: bytes, typ: int = RECORD) -> None:
        outer = cbor2.loads(data)
        assert isinstance(outer, cbor2.CBORTag)
        assert 18 == outer.tag
        protected, unprotected, payload, signature = outer.value
        alg = -19 if len(public) == 32 else -9
        assert {1: alg, 4: kid(public), 16: typ} == dict(cbor2.loads(protected))
        assert {} == dict(unprotected)
        verify(public, signature, to_be_signed(protected, payload))
        self.data = data
        self.payload: list[Any] = _lists(cbor2.loads(payload))
        self.id = hashlib.sha256(to_be_signed(protected, payload)).digest()
        # deterministic encoding, to the last byte
        assert payload == canonical(self.payload)
        assert data == canonical(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    @property
    def seq(self) -> int:
        return int(self.payload[0])

    @property
    def prev(self) -> bytes:
        return bytes(self.payload[1])

    @property
    def kind(self) -> int:
        return int(self.payload[3])


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def genesis_prev(public: bytes) -> bytes:
    return hashlib.sha256(b"tallystick/v1/genesis\n" + public).digest()


def check_chain(records: list[Signed], prev: bytes) -> None:
    """Records in order of seq, each linked to the one before."""
    for record in records:
        assert prev == record.prev, f"seq {record.seq} is not linked"
        prev = record.id


class VirtualBoard:
    """The product's virtual board in `folder`, driven over its console."""

    def __init__(
        self, folder: Path, *, bits: int = 64, heap: str | None = None, restart: bool = False
    ) -> None:
        """restart: it starts again after a reset, a sleep or a hang; else those end the process."""
        self.folder = folder
        self._argv = [sys.executable, str(FIRMWARE / "virtual" / "board.py"), str(folder)]
        self._argv += ["--bits", str(bits)]
        if heap is not None:
            self._argv += ["--heap", heap]
        if restart:
            self._argv.append("--restart")
        self.said: list[str] = []
        self._answers: queue.Queue[str] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith(("OK", "ERROR")):
                self._answers.put(line.strip())

    def kill(self) -> None:
        """A power cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def running(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def ended(self) -> int:
        """Wait for the end of the process; its status."""
        assert self._process is not None
        return self._process.wait(WAIT_S)

    def type(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def close_input(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def command(self, line: str) -> str:
        """The answer line to a command."""
        self.type(line + "\n")
        try:
            return self._answers.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError(f"no answer to {line!r}; the board said {self.said}") from None

    def ok(self, line: str) -> str:
        answer = self.command(line)
        assert answer.startswith("OK"), f"{line!r}: {answer}"
        return answer[3:]

    def info(self) -> dict[str, Any]:
        return dict(json.loads(self.ok("info")))

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.ok("status")))

    def wait(self, what: str, wanted: object) -> dict[str, Any]:
        """Wait until the status says so; the status."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            status = self.status()
            if status[what] == wanted:
                return status
            time.sleep(0.1)
        raise AssertionError(f"{what} did not become {wanted!r}: {status}, {self.said[-20:]}")

    def reach(self, what: str, least: int) -> dict[str, Any]:
        """Wait until the status says this much or more: records go on coming meanwhile."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            status = self.status()
            if status[what] is not None and status[what] >= least:
                return status
            time.sleep(0.1)
        raise AssertionError(f"{what} did not reach {least}: {status}, {self.said[-20:]}")

    def provision(self, owner: Signer, gateway: Signer, port: int, **settings: object) -> bytes:
        """Owner, grant, broker and settings, then `genesis`. The board's public key."""
        self.ok(f"set owner {owner.public.hex()}")
        self.ok(f"set grant {owner.grant(gateway).hex()}")
        self.ok(f"set broker 127.0.0.1 {port}")
        self.ok("set config " + json.dumps({"interval_ms": 200, **settings}))
        self.ok("genesis")
        return bytes.fromhex(self.info()["key"])


class GatewayDouble:
    """Takes records of one board from a broker, and acknowledges when a test says so."""

    def __init__(self, port: int, public: bytes, signer: Signer) -> None:
        self.keys = [public]  # the board's first key, and those that it has rotated to
        self.device = kid(public)
        self.signer = signer
        self.records: dict[int, Signed] = {}
        self.arrivals: list[int] = []
        self.states: list[str] = []
        self.answers: list[tuple[str, str]] = []  # to commands: end of the topic, text
        self.automatic = False
        self._size = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(
            [(f"{PREFIX}/{self.device.hex()}/{leaf}", 1) for leaf in ("up", "state", "cmd/+")]
        )
        self._client.loop_start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.loop_stop()
        self._client.disconnect()

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/state"):
            self.states.append(message.payload.decode())
            return
        if "/cmd/" in message.topic:
            self.answers.append((message.topic[-12:], message.payload.decode()))
            return
        data = bytes(message.payload)
        record = Signed(
            data, next((key for key in self.keys if kid(key) in data[:20]), self.keys[0])
        )
        self.arrivals.append(record.seq)
        if record.kind == 4:
            self.keys.append(record.payload[5])
        known = self.records.setdefault(record.seq, record)
        assert known.id == record.id, f"two records with seq {record.seq}"
        if self.automatic:
            self.acknowledge()

    def upto(self) -> int:
        seq = -1
        while seq + 1 in self.records:
            seq += 1
        return seq

    def chain(self) -> list[Signed]:
        return [self.records[seq] for seq in sorted(self.records)]

    def acknowledge(self, **changes: Any) -> None:
        """Acknowledge all that is here without a gap, as a gateway does."""
        upto = self.upto()
        self._size = max(self._size + 1, len(self.records))
        facts = {
            "time_s": int(time.time()),
            "size": self._size,
            "nonce": b"nonce %010d" % self._size,
        }
        identity = self.records[upto].id if upto >= 0 else None
        data = self.signer.acknowledgement(
            self.device, upto if upto >= 0 else None, identity, **{**facts, **changes}
        )
        self.publish("ack", data)

    def publish(self, leaf: str, data: bytes) -> None:
        self._client.publish(f"{PREFIX}/{self.device.hex()}/{leaf}", data, 1, True)

    def send_command(self, data: bytes) -> None:
        self._client.publish(f"{PREFIX}/{self.device.hex()}/cmd", data, 1)

    def publish_grant(self, gateway: Signer, data: bytes) -> None:
        self._client.publish(f"{PREFIX}/gateway/{gateway.kid.hex()}/grant", data, 1, True)

    def wait(self, count: int) -> list[Signed]:
        """Wait until this many records are here."""
        deadline = time.monotonic() + WAIT_S
        while len(self.records) < count:
            assert time.monotonic() < deadline, (
                f"only {sorted(self.records)} of {count} records came"
            )
            time.sleep(0.02)
        return self.chain()


def board_command(
    program: list[str], script: str, *arguments: str, paths: list[Path] | None = None
) -> list[str]:
    """The argument list that runs a script of `on_board/` with the agent and the simulated chip, from their source
    unless `paths` names compiled ones."""
    paths = paths or [FIRMWARE, FIRMWARE / "virtual" / "modules", parts.micropython_lib()]
    start = "import sys;sys.path[:0]=%r.split(':');sys.argv[:]=%r;exec(open(%r).read())"
    place = parts.ROOT / "tests" / "firmware" / "on_board" / script
    joined = ":".join(str(path) for path in paths)
    return [*program, "-c", start % (joined, [script, *arguments], str(place))]


def on_board(
    program: list[str], script: str, folder: Path, *arguments: str, typed: str = ""
) -> str:
    """Run such a script in `folder`/flash; what it printed."""
    flash = folder / "flash"
    flash.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        board_command(program, script, *arguments),
        cwd=flash,
        input=typed,
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    ).stdout
