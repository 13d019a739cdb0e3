"""The line protocol on the serial port: provisioning and status, like a production test.

    command [arguments]   ->   OK [answer]   or   ERROR code detail

Rules
* One answer line for each command line. Lines that start with `# ` are talk.
* Nothing prints a secret: there is no command for the seed, and passwords go in only.
* A challenge is a typed object that the board builds around the host's 16 bytes; other bytes are not signed.
* Polled, never waited for: the agent runs on while somebody types. The end of input ends nothing.
"""

import gc
import json
import select
import sys

from micropython import const

from tally import cose, hal
from tally.chain import Halted
from tally.config import ConfigError, parse
from tally.head import HeadError
from tally.message import MessageError
from tally.trust import TrustError
from tally.version import VERSION

MAX_LINE = const(2600)  # a grant in hex
MAX_CREDENTIAL_BYTES = const(260)
CREDENTIAL_PATH = "credential.cwt"
COMMANDS = "info status challenge set unset genesis run config fingerprint reset help"


class ConsoleError(Exception):
    """args: code, detail."""


def _unhex(text, length=None):
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ConsoleError("hex", "hexadecimal digits are needed") from None
    if length is not None and len(data) != length:
        raise ConsoleError("length", "%d bytes are needed" % length)
    return data


class Console:
    """board and agent may be None, on a board that did not come up: `fault` says why."""

    def __init__(self, board, agent, fault=None):
        self._board = board
        self._agent = agent
        self._fault = fault
        self._line = bytearray()
        self._input = sys.stdin.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._open = True
        self.run = False  # set by the command `run`

    def poll(self):
        """Take what was typed and answer complete lines."""
        while self._open and self._poll.poll(0):
            data = self._input.read(1)
            if data is None:
                return
            if not data:
                self._poll.unregister(sys.stdin)
                self._open = False
                return
            if data not in b"\r\n":
                # what is too long is kept as too long, and refused with its line end
                if len(self._line) <= MAX_LINE:
                    self._line.extend(data)
                continue
            line = bytes(self._line)
            self._line = bytearray()
            if line.strip():
                self._answer(line)

    def _answer(self, line):
        try:
            if len(line) > MAX_LINE:
                raise ConsoleError("line", "longer than %d bytes" % MAX_LINE)
            try:
                name, _, rest = line.decode().strip().partition(" ")
            except UnicodeError:
                raise ConsoleError("line", "not UTF-8") from None
            if name not in COMMANDS.split():
                raise ConsoleError("command", "there is no such command")
            if self._board is None and name not in ("info", "help", "reset"):
                raise ConsoleError("fault", self._fault)
            answer = getattr(self, "_" + name)(rest.strip())
            print("OK " + answer if answer else "OK")
        except ConsoleError as error:
            print("ERROR %s %s" % error.args)
        except (ConfigError, HeadError, Halted, TrustError, MessageError) as error:
            print("ERROR refused %s" % error)
        except OSError as error:
            print("ERROR storage %s" % error.args[0])

    def _help(self, _):
        return COMMANDS

    def _info(self, _):
        board = self._board
        if board is None:
            return json.dumps({"state": "fault", "fault": self._fault, "board": hal.board_name()})
        trust = board.trust
        facts = {
            "id": board.key.kid.hex(),
            "key": board.key.public.hex(),
            "alg": cose.ED25519,
            "board": hal.board_name(),
            "version": VERSION,
            "digest": board.digest().hex(),
            "provisioned": trust.owner is not None and board.config.complete(),
            "owner": trust.owner.hex() if trust.owner else None,
            "gateway": cose.kid(trust.gateway).hex() if trust.gateway else None,
            "next": board.chain.head.next,
            "state": self._agent.state,
        }
        return json.dumps(facts)

    def _status(self, _):
        board, agent = self._board, self._agent
        chain, link = board.chain, agent.link
        gc.collect()
        facts = {
            "state": agent.state,
            "halted": chain.halted,
            "next": chain.head.next,
            "head": chain.head.prev.hex() if chain.head.prev else None,
            "upto": chain.upto if chain.upto >= 0 else None,
            "queue": chain.queue(),
            "first": chain.journal.first,
            "connected": link is not None and link.connected(),
            "link": link.reason if link else None,
            "sessions": link.sessions if link else 0,
            "time": hal.unix_time(),
            "uptime_s": hal.uptime_s(),
            "boots": board.boots,
            "free": gc.mem_free(),
        }
        return json.dumps(facts)

    def _challenge(self, rest):
        from tally import cbor

        key = self._board.key
        nonce = _unhex(rest, 16)
        payload = [key.kid, nonce, cose.ED25519, key.public, self._board.chain.head.next]
        return key.sign(cose.CHALLENGE, cbor.encode(payload))[0].hex()

    def _fingerprint(self, _):
        digest, salt = self._board.fingerprint()
        parts = [part.hex() for part in self._board.hardware()]
        return json.dumps({"fingerprint": digest.hex(), "salt": salt.hex(), "parts": parts})

    def _config(self, _):
        return json.dumps(self._board.config.public())

    def _genesis(self, _):
        self._board.chain.begin()

    def _run(self, _):
        if not self._board.config.complete():
            raise ConsoleError("config", "set a broker first")
        self.run = True

    def _reset(self, _):
        print("OK")
        if self._agent is not None and self._agent.link is not None:
            self._agent.link.close()
        hal.sleep_ms(50)  # until the answer has left the serial port
        hal.reset()

    def _unset(self, rest):
        # The word to confirm with is the board's id: it must be this board, and it must be meant.
        if rest != "owner " + self._board.key.kid.hex():
            raise ConsoleError("confirm", "type: unset owner and the id of this board")
        self._board.trust.forget()

    def _set(self, rest):
        board = self._board
        what, _, value = rest.partition(" ")
        value = value.strip()
        words = value.split()
        if what == "owner":
            board.trust.pin(_unhex(value, 32))
        elif what == "grant":
            board.trust.accept(_unhex(value))
        elif what == "credential":
            data = _unhex(value)
            if not 0 < len(data) <= MAX_CREDENTIAL_BYTES:
                raise ConsoleError("length", "1 to %d bytes are needed" % MAX_CREDENTIAL_BYTES)
            with open(CREDENTIAL_PATH + "~", "wb") as file:
                file.write(data)
                file.flush()
            import os

            os.rename(CREDENTIAL_PATH + "~", CREDENTIAL_PATH)
        elif what == "config":
            board.config.set(**parse(value))
        elif what == "broker" and len(words) in (1, 2):
            board.config.set(
                broker_host=words[0], broker_port=_number(words[1]) if words[1:] else 1883
            )
        elif what == "login" and len(words) == 2:
            board.config.set(broker_user=words[0], broker_password=words[1])
        elif what == "wifi" and words:
            ssid, _, password = value.partition(" ")
            board.config.set(wifi_ssid=ssid, wifi_password=password or None)
        elif what == "interval":
            board.config.set(interval_ms=_number(value))
        elif what == "batch":
            board.config.set(batch=_number(value))
        else:
            raise ConsoleError(
                "usage", "set owner|broker|login|wifi|interval|batch|credential|grant|config"
            )


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise ConsoleError("number", "a whole number is needed") from None
