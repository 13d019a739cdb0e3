"""The console's command `set`. Loaded with it, and forgotten after it."""

from micropython import const

from tally import hal, once, owner
from tally.commands import ConsoleError, unhex
from tally.config import Config
from tally.record import CLOCK_HAND

MAX_CREDENTIAL_BYTES = const(260)
CREDENTIAL_PATH = "credential.cwt"


def set(console, rest):
    board = console.board
    what, _, value = rest.partition(" ")
    value = value.strip()
    words = value.split()
    if what == "owner":
        owner.pin(board.trust, unhex(value, 32))
    elif what == "updates":
        owner.pin_updates(board.store, unhex(value, 32))
    elif what == "grant":
        board.trust.accept([unhex(value)])
    elif what == "credential":
        data = unhex(value)
        if not 0 < len(data) <= MAX_CREDENTIAL_BYTES:
            raise ConsoleError("length", "1 to %d bytes are needed" % MAX_CREDENTIAL_BYTES)
        once("files", "replace", CREDENTIAL_PATH, data)
    elif what == "ca":
        from tally.authority import MAX_BYTES, PATH

        data = unhex(value)
        if not 0 < len(data) <= MAX_BYTES:
            raise ConsoleError("length", "1 to %d bytes are needed" % MAX_BYTES)
        if data[0] != 0x30:
            raise ConsoleError("ca", "a certificate in DER starts with 30")
        once("files", "replace", PATH, data)
    elif what == "time":
        change = board.clock.set(_number(value), CLOCK_HAND)
        if change is None and hal.unix_time() is None:
            raise ConsoleError("time", "Unix seconds of this decade are needed")
        console.agent.clock_event(change)
    elif what == "config":
        config = Config() if board is None else board.config
        config.set(**once("settings", "parse", value))
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
            "set owner|updates|broker|login|wifi|ca|time|interval|batch|credential|grant|config",
        )


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise ConsoleError("number", "a whole number is needed") from None
