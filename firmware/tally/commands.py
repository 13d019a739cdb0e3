"""What the console's commands do. Loaded with each command, and forgotten after it."""

import json
import os

from micropython import const

from tally import cose, hal, lock, owner
from tally.console import COMMANDS, ConsoleError
from tally.record import CLOCK_HAND
from tally.settings import parse
from tally.version import VERSION

MAX_CREDENTIAL_BYTES = const(260)
CREDENTIAL_PATH = "credential.cwt"


def do(console, name, rest):
    """Do one; its answer, None for none. Raises ConsoleError and what the modules behind it raise."""
    if lock.locked() and name not in lock.OPEN.split():
        raise ConsoleError("locked", "a locked board answers " + lock.OPEN)
    return globals()["_" + name](console, rest)


def _unhex(text, length=None):
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ConsoleError("hex", "hexadecimal digits are needed") from None
    if length is not None and len(data) != length:
        raise ConsoleError("length", "%d bytes are needed" % length)
    return data


def _help(console, _):
    return COMMANDS


def _info(console, _):
    board = console.board
    if board is None:
        return json.dumps({"state": "fault", "fault": console.fault, "board": hal.board_name()})
    trust = board.trust
    facts = {
        "id": board.device.hex(),
        "key": board.key.public.hex(),
        "alg": cose.ED25519,
        "board": hal.board_name(),
        "version": VERSION,
        "digest": board.digest().hex(),
        "provisioned": trust.owner is not None and board.config.complete(),
        "owner": trust.owner.hex() if trust.owner else None,
        "gateway": cose.kid(trust.gateway).hex() if trust.gateway else None,
        "next": board.chain.head.next,
        "state": console.agent.state,
        "locked": lock.locked(),
    }
    return json.dumps(facts)


def _status(console, _):
    board, agent = console.board, console.agent
    chain, link = board.chain, agent.link
    facts = {
        "state": agent.state,
        "halted": chain.halted,
        "next": chain.head.next,
        "head": chain.head.prev.hex() if chain.head.prev else None,
        "upto": chain.upto if chain.upto >= 0 else None,
        "queue": chain.queue(),
        "first": chain.journal.first,
        "storage": agent.storage,
        "sensor": agent.sensor_fault,
        "light": agent.light(),
        "connected": link is not None and link.connected(),
        "link": link.reason if link else None,
        "sessions": link.sessions if link else 0,
        "time": hal.unix_time(),
        "clock": board.clock.source,
        "uptime_s": hal.uptime_s(),
        "boots": board.boots,
        "free": console.free,
    }
    return json.dumps(facts)


def _challenge(console, rest):
    from tally import cbor

    key = console.board.key
    nonce = _unhex(rest, 16)
    payload = [console.board.device, nonce, cose.ED25519, key.public, console.board.chain.head.next]
    return key.sign(cose.CHALLENGE, cbor.encode(payload))[0].hex()


def _fingerprint(console, _):
    digest, salt = console.board.fingerprint()
    parts = [part.hex() for part in console.board.hardware()]
    return json.dumps({"fingerprint": digest.hex(), "salt": salt.hex(), "parts": parts})


def _config(console, _):
    return json.dumps(console.board.config.public())


def _genesis(console, _):
    console.board.chain.begin()


def _run(console, _):
    if not console.board.config.complete():
        raise ConsoleError("config", "set a broker first")
    console.run = True


def _reset(console, _):
    print("OK")
    if console.agent is not None and console.agent.link is not None:
        console.agent.link.close()
    hal.sleep_ms(50)  # until the answer has left the serial port
    hal.reset()


def _unset(console, rest):
    # The word to confirm with is the board's id: it must be this board, and it must be meant.
    if rest != "owner " + console.board.device.hex():
        raise ConsoleError("confirm", "type: unset owner and the id of this board")
    owner.forget(console.board.trust)


def _lock(console, rest):
    # Whoever locks an empty board can never fill it: only its owner can open it again, through the gateway.
    if rest != console.board.device.hex() or console.board.trust.owner is None:
        raise ConsoleError("confirm", "type: lock and the id of this board, which has an owner")
    lock.lock()


def _rotate(console, rest):
    if rest != console.board.device.hex():
        raise ConsoleError("confirm", "type: rotate and the id of this board")
    from tally import rotation

    try:
        rotation.renew(console.agent)
    finally:
        for module in ("rotation", "birth"):
            hal.unload(module)
    return console.board.key.public.hex()


def _set(console, rest):
    board = console.board
    what, _, value = rest.partition(" ")
    value = value.strip()
    words = value.split()
    if what == "owner":
        owner.pin(board.trust, _unhex(value, 32))
    elif what == "grant":
        board.trust.accept(_unhex(value))
    elif what == "credential":
        data = _unhex(value)
        if not 0 < len(data) <= MAX_CREDENTIAL_BYTES:
            raise ConsoleError("length", "1 to %d bytes are needed" % MAX_CREDENTIAL_BYTES)
        _replace(CREDENTIAL_PATH, data)
    elif what == "ca":
        from tally.authority import MAX_BYTES, PATH

        data = _unhex(value)
        if not 0 < len(data) <= MAX_BYTES:
            raise ConsoleError("length", "1 to %d bytes are needed" % MAX_BYTES)
        if data[0] != 0x30:
            raise ConsoleError("ca", "a certificate in DER starts with 30")
        _replace(PATH, data)
    elif what == "time":
        change = board.clock.set(_number(value), CLOCK_HAND)
        if change is None and hal.unix_time() is None:
            raise ConsoleError("time", "Unix seconds of this decade are needed")
        console.agent.clock_event(change)
    elif what == "config":
        board.config.set(**parse(value))
    elif what == "broker" and len(words) in (1, 2):
        board.config.set(broker_host=words[0], broker_port=_number(words[1]) if words[1:] else None)
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
            "usage",
            "set owner|broker|login|wifi|ca|time|interval|batch|credential|grant|config",
        )


def _replace(path, data):
    """Put a file in the place of another as one."""
    with open(path + "~", "wb") as file:
        file.write(data)
        file.flush()
    os.rename(path + "~", path)


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise ConsoleError("number", "a whole number is needed") from None
