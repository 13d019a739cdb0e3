"""A fleet of simulated boards in one process: each with its own MQTT connection, its own records,
signed beforehand, and the habits of a real one.

It stands where hundreds of real boards cannot: in benchmarks, fault runs and fuzz runs. It speaks
the few MQTT 3.1.1 packets that a board needs by itself, because a general client spends more time on a
message than the gateway that is to be measured.

What a fleet's board does as a real one: it publishes in order with QoS 1, believes nothing but the
gateway's acknowledgement (a PUBACK says nothing), holds a window of records that wait for it, sends
them again when it stands still, ever more rarely, and connects again when the connection breaks. What it
does not: it checks no signature (whoever reads `heard` afterwards does), and has no flash to lose.

As a program it plays the records of a file and prints what it has done as one JSON line::

    python -m tools.fleet records.cbor --port 1883 [--window 64] [--heard heard.cbor] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import cbor2

from tallystick import message, topics
from tools.parts import LOOPBACK, ROOT

__all__ = ["Boards", "Fleet", "Player", "read_boards", "read_heard", "write_boards"]

RECONNECT_S: Final = 0.2
RESEND_S: Final = 15.0  # doubled with each time in vain
RESEND_MOST_S: Final = 30.0
_CONNECT, _PUBLISH, _SUBSCRIBE, _SUBACK = 0x10, 0x30, 0x82, 0x90
_RECEIVE: Final = 65_536
_TURN: Final = 4  # records of one board before it is the next one's turn

Boards = Sequence[tuple[bytes, Sequence[bytes]]]  # device id, its records from seq 0 on


def write_boards(path: Path, boards: Boards) -> None:
    """The file that the program plays."""
    path.write_bytes(cbor2.dumps([[device, list(records)] for device, records in boards]))


def read_boards(path: Path) -> list[tuple[bytes, list[bytes]]]:
    """What `write_boards` wrote."""
    return [(device, records) for device, records in cbor2.loads(path.read_bytes())]


def read_heard(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every message that a fleet has heard, in order: topic and payload."""
    with path.open("rb") as file:
        while True:
            try:
                topic, payload = cbor2.load(file)
            except cbor2.CBORDecodeError:  # the end, or half a message that a kill has left
                return
            yield topic, payload


@dataclass
class _Board:
    """One board's side: what it holds, what it has sent, what it was told."""

    id: bytes
    records: Sequence[bytes]
    topic: bytes = b""
    upto: int = -1
    upto_id: bytes = b""
    next: int = 0  # index of the next record to send
    moved_at: float = 0.0
    resend_s: float = 0.0
    pid: int = 0
    sock: socket.socket | None = None
    ready: bool = False
    inbound: bytearray = field(default_factory=bytearray)
    outbound: bytearray = field(default_factory=bytearray)
    again_at: float = 0.0

    @property
    def done(self) -> bool:
        return self.upto >= len(self.records) - 1


class Fleet:
    """Boards that send until everything is acknowledged."""

    def __init__(
        self,
        boards: Boards,
        port: int,
        *,
        window: int = 64,
        rate: float | None = None,
        resend_s: float = RESEND_S,
        heard: BinaryIO | None = None,
    ) -> None:
        """`rate`: records a second of the whole fleet at most; `heard`: gets every message."""
        self.boards = [
            _Board(device, records, topics.Device(device).up.encode()) for device, records in boards
        ]
        self._port, self._window, self._rate, self._heard = port, window, rate, heard
        self._resend_s = resend_s
        self._selector = selectors.DefaultSelector()
        self._left = sum(not board.done for board in self.boards)
        self._credit = 0.0
        self.sent = 0
        self.connections = 0
        self.stopping = False

    @property
    def acknowledged(self) -> int:
        """Records that the gateway says are durable."""
        return sum(board.upto + 1 for board in self.boards)

    def connect(self) -> None:
        """Bring all boards to the broker, before anything is sent."""
        for board in self.boards:
            self._open(board)
        deadline = time.monotonic() + 30
        while not all(board.ready for board in self.boards):
            if time.monotonic() > deadline:
                raise TimeoutError("the broker does not let all boards in")
            self._pump(0.05, sending=False)

    def run(self, seconds: float) -> bool:
        """Send until all is acknowledged, for at most `seconds`; was it?"""
        started = last = time.monotonic()
        for board in self.boards:
            board.moved_at = started
        while self._left and not self.stopping and time.monotonic() < started + seconds:
            clock = time.monotonic()
            if self._rate is not None:
                self._credit = min(self._credit + (clock - last) * self._rate, self._rate)
                last = clock
            self._pump(0.02, sending=True)
        return not self._left

    def close(self) -> None:
        """Leave the broker without a word, as boards do."""
        for board in self.boards:
            self._drop(board)
        self._selector.close()

    def facts(self) -> dict[str, object]:
        """What was done, for JSON."""
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "connections": self.connections,
            "upto": {b.id.hex(): [b.upto, b.upto_id.hex()] for b in self.boards},
        }

    # ---- the loop

    def _pump(self, timeout: float, *, sending: bool) -> None:
        clock = time.monotonic()
        for board in self.boards:
            if board.sock is None:
                if clock >= board.again_at:
                    self._open(board)
            elif sending and board.ready and not board.done:
                self._fill(board, clock)
            if board.sock is not None and board.outbound:
                self._flush(board)
        for key, _ in self._selector.select(timeout):
            self._read(key.data)

    def _fill(self, board: _Board, clock: float) -> None:
        end = min(len(board.records), board.upto + 1 + self._window)
        if board.next >= end:
            if clock - board.moved_at < max(board.resend_s, self._resend_s):
                return
            # no acknowledgement for a while: what is missing goes out again
            board.next, board.moved_at = board.upto + 1, clock
            board.resend_s = min(2 * max(board.resend_s, self._resend_s), RESEND_MOST_S)
        for _ in range(min(end - board.next, _TURN)):
            if self._rate is not None:
                if self._credit < 1:
                    return
                self._credit -= 1
            board.pid = board.pid % 65_535 + 1
            board.outbound += _publish(board.topic, board.pid, board.records[board.next])
            board.next += 1
            self.sent += 1

    # ---- one connection

    def _open(self, board: _Board) -> None:
        board.again_at = time.monotonic() + RECONNECT_S
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.connect((LOOPBACK, self._port))
        except OSError:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        board.sock, board.ready = sock, False
        board.inbound.clear()
        board.outbound.clear()
        board.next = board.upto + 1
        board.outbound += _connect(board.id) + _subscribe(topics.Device(board.id).ack.encode())
        self._selector.register(sock, selectors.EVENT_READ, board)
        self.connections += 1

    def _drop(self, board: _Board) -> None:
        if board.sock is not None:
            self._selector.unregister(board.sock)
            board.sock.close()
            board.sock, board.ready = None, False
            board.again_at = time.monotonic() + RECONNECT_S

    def _flush(self, board: _Board) -> None:
        if board.sock is None:
            return
        try:
            sent = board.sock.send(board.outbound)
        except BlockingIOError:
            return
        except OSError:
            self._drop(board)
            return
        del board.outbound[:sent]

    def _read(self, board: _Board) -> None:
        if board.sock is None:
            return
        try:
            data = board.sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(board)
            return
        board.inbound += data
        for head, body in _packets(board.inbound):
            kind = head & 0xF0
            if kind == _PUBLISH:
                self._hear(board, body)
            elif kind == _SUBACK:
                board.ready = True

    def _hear(self, board: _Board, body: bytes) -> None:
        length = int.from_bytes(body[:2], "big")
        topic, payload = body[2 : 2 + length].decode(), body[2 + length :]  # QoS 0
        if self._heard is not None:
            self._heard.write(cbor2.dumps([topic, payload]))
        said = message.parse_acknowledgement(payload)
        upto = -1 if said.upto is None else said.upto
        if upto > board.upto:
            was_done = board.done
            board.upto, board.upto_id, board.moved_at = upto, said.id or b"", time.monotonic()
            board.next, board.resend_s = max(board.next, upto + 1), 0.0
            self._left -= board.done and not was_done


class Player:
    """The program in a process of its own, on a file of records."""

    def __init__(self, records: Path, port: int, *extra: str) -> None:
        """Returns when all boards are connected."""
        argv = [sys.executable, "-m", "tools.fleet", str(records), "--port", str(port), *extra]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        if self._read() != "connected\n":
            raise RuntimeError("the fleet does not connect")

    def go(self) -> None:
        """Let the boards send."""
        if self._process.stdin is not None:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    @property
    def running(self) -> bool:
        """Is anything left to do?"""
        return self._process.poll() is None

    def facts(self) -> dict[str, Any]:
        """What the fleet says when it has ended."""
        said: dict[str, Any] = json.loads(self._read())
        self.close()
        return said

    def close(self) -> None:
        """End it, if it has not."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> str:
        return self._process.stdout.readline() if self._process.stdout else ""


def _packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole packets off the front of `buffer`."""
    at = 0
    while len(buffer) - at >= 2:
        length, shift, start = 0, 0, at + 1
        while start < len(buffer):
            byte = buffer[start]
            length |= (byte & 0x7F) << shift
            start, shift = start + 1, shift + 7
            if byte < 0x80:
                break
        else:
            break
        if len(buffer) - start < length:
            break
        yield buffer[at], bytes(buffer[start : start + length])
        at = start + length
    del buffer[:at]


def _packet(head: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([head])
    while True:
        out.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if not length:
            return bytes(out) + body


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _connect(device: bytes) -> bytes:
    name = b"fleet-" + device.hex().encode()
    return _packet(_CONNECT, _text(b"MQTT") + b"\x04\x02\x00\x00" + _text(name))


def _subscribe(topic: bytes) -> bytes:
    return _packet(_SUBSCRIBE, b"\x00\x01" + _text(topic) + b"\x00")


def _publish(topic: bytes, pid: int, payload: bytes) -> bytes:
    return _packet(_PUBLISH | 0x02, _text(topic) + pid.to_bytes(2, "big") + payload)


def main() -> int:
    """Play a file; exit status 1 if not everything was acknowledged in time."""
    parser = argparse.ArgumentParser(description="play a file of signed records to a broker")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--window", type=int, default=64, help="records of each board that wait for the gateway"
    )
    parser.add_argument("--rate", type=float, help="records a second of all together, at most")
    parser.add_argument("--resend", type=float, default=RESEND_S, help="seconds, the first time")
    parser.add_argument("--heard", type=Path, help="every message that was heard goes here")
    parser.add_argument("--seconds", type=float, default=600.0)
    given = parser.parse_args()
    heard = given.heard.open("ab", buffering=0) if given.heard else None
    fleet = Fleet(
        read_boards(given.file),
        given.port,
        window=given.window,
        rate=given.rate,
        resend_s=given.resend,
        heard=heard,
    )

    def stop(*_: object) -> None:
        fleet.stopping = True

    signal.signal(signal.SIGTERM, stop)
    fleet.connect()
    print("connected", flush=True)
    sys.stdin.readline()  # whoever measures says when
    started = time.perf_counter()
    whole = fleet.run(given.seconds)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "whole": whole} | fleet.facts()), flush=True)
    fleet.close()
    return 0 if whole else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
