"""A board's console out of a script: a simulator, for what an engineer's desk needs of a board."""

from __future__ import annotations

import json

from tallystick import message
from tallystick.keys import PrivateKey
from tallystick_host.console import TransportError
from tests.world import key


class ScriptedBoard:
    """A board's console out of a script (a simulator): no serial port, no firmware. It is a `Transport`.

    `answer` turns a command line into what the board prints. `said` keeps all commands.
    """

    name = "the scripted board (simulator)"
    hint = "this is a simulator"
    stays = False
    start_s = 1.0

    def __init__(self, signer: PrivateKey | None = None) -> None:
        self.signer = signer or key("board")
        self.owner: str | None = None
        self.gateway: str | None = None
        self.serial = -1
        self.next: int | None = None
        self.born = False
        self.config: dict[str, object] = {"broker_host": None, "broker_port": 1883}
        self.config |= {"interval_ms": 10000, "batch": 1}
        self.credential = b""
        self.said: list[str] = []
        self.closed = False
        self._out = bytearray(b"ets Jun  8 2016 00:22:57\r\n\xff\xfe\r\n# no key yet: making one\n")

    def write(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            if line.strip():
                self.said.append(line)
                self._out += self.answer(line)

    def read(self, timeout_s: float) -> bytes:
        if self.closed:
            raise TransportError("closed")
        data, self._out = bytes(self._out), bytearray()
        return data

    def close(self) -> None:
        self.closed = True

    def answer(self, line: str) -> bytes:
        """One answer line, as firmware/tally/console.py gives it."""
        name, _, rest = line.partition(" ")
        given: str = getattr(self, f"_{name}")(rest)
        return given.encode() + b"\r\n"

    def _help(self, rest: str) -> str:
        return "OK info challenge set genesis run config"

    def _info(self, rest: str) -> str:
        facts = {"id": self.signer.public.kid.hex(), "key": self.signer.public.raw.hex()}
        state = {
            "owner": self.owner,
            "gateway": self.gateway,
            "next": self.next,
            "state": "waiting",
        }
        return "OK " + json.dumps(facts | state)

    def _config(self, rest: str) -> str:
        hidden = {"broker_password": self.config.get("broker_password") is not None}
        return "OK " + json.dumps(self.config | hidden)

    def _challenge(self, rest: str) -> str:
        return (
            "OK "
            + message.sign_challenge(
                self.signer,
                device=self.signer.public.kid,
                nonce=bytes.fromhex(rest),
                next_seq=self.next,
            ).hex()
        )

    def _set(self, rest: str) -> str:
        what, *values = rest.split()
        if what == "config":
            self.config |= json.loads(rest.partition(" ")[2])
        elif what == "owner":
            self.owner = values[0]
        elif what == "grant":
            grant = message.parse_grant(bytes.fromhex(values[0]))
            if grant.serial <= self.serial:
                return f"ERROR refused grant.serial: {grant.serial} is not above {self.serial}"
            self.serial, self.gateway = grant.serial, grant.key.kid.hex()
        elif what == "credential":
            self.credential = bytes.fromhex(values[0])
        elif what == "broker":
            self.config |= {"broker_host": values[0], "broker_port": int(values[1])}
        else:
            self.config[{"interval": "interval_ms", "batch": "batch"}[what]] = int(values[0])
        return "OK"

    def _genesis(self, rest: str) -> str:
        if self.born:
            return "ERROR refused this board has lost the head of its chain"
        self.next, self.born = 0, True
        return "OK"

    def _run(self, rest: str) -> str:
        return "OK"
