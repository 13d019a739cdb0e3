"""A command of the granted gateway, obeyed once (docs/format.md, 6). Loaded for one, and forgotten after it.

1. It is signed by the gateway whose grant is in force, and it is for this board.
2. Its counter is above the one kept, and is kept before anything is done, whatever becomes of the command: what was
   taken is not taken again, by nobody who recorded it and after no power cut.
3. The owner allows it (setting `commands`), and its arguments are in form.
4. The chain says so: an event with counter and name. A chain that is halted says nothing.
5. The deed, and the answer on `cmd/accepted` or `cmd/rejected`. Nobody signs the answer, the event is the evidence.

| name | arguments | deed |
|---|---|---|
| report | | a beacon, now |
| identify | seconds | the light blinks fast |
| resend | from (seq) | the records from there on, if they are still here, are published again |
| reset | | starts anew; what was measured is signed first |
| interval | milliseconds | as in the settings |
| batch | readings | as in the settings |
| rotate | | another key |
| unlock | | gives a locked board its REPL and console back, and starts anew |
"""

import json

from micropython import const

from tally import hal, unload
from tally.chain import Halted
from tally.config import ConfigError
from tally.keys import KeyFault
from tally.message import MessageError, uint, verified
from tally.stream import Trouble
from tally.trust import COUNTER

_COMMAND = const(65003)
_EVENT = const(8)
_MAX_IDENTIFY_S = const(3600)
_ARGUMENTS = {"identify": 1, "resend": 1, "interval": 1, "batch": 1}
_NAMES = "report identify resend reset interval batch rotate unlock"
_AFTERWARDS = ("reset", "rotate", "unlock")  # after the answer
_DEFAULT = "report identify resend reset"  # what a gateway may command if the owner says nothing


class Refused(Exception):
    """args: the code behind `command.`, detail."""


def obey(agent, publisher):
    """Steps 1 to 5 for the first command that waits. Raises nothing but what ends a board."""
    unload("remote")  # this run of it goes on
    data = publisher.commands.pop(0)
    told = {"counter": None}
    try:
        told["counter"], name, arguments = _read(agent.board, data)
        _take(agent.board.store, told["counter"])
        _check(agent.board.config, name, arguments)
        told["name"] = name
        told["seq"] = _sign(agent, told["counter"], name)
        if name not in _AFTERWARDS:
            _DEEDS[name](agent, publisher, *arguments)
    except Refused as error:
        told["code"], told["detail"] = "command." + error.args[0], error.args[1]
    except (Halted, ConfigError, KeyFault) as error:
        told["code"], told["detail"] = "command.failed", str(error)
    except OSError as error:
        told["code"], told["detail"] = "command.storage", "error %s" % error.args[0]
    code = told.get("code")
    agent.board.log("command %s: %s" % (told.get("name", "?"), told["detail"] if code else "done"))
    try:
        agent.link.tell("/cmd/rejected" if code else "/cmd/accepted", json.dumps(told))
    except (Trouble, OSError, ValueError):
        agent.board.log("the answer was not sent")  # the link finds out by itself
    if code is None and name in _AFTERWARDS:
        _DEEDS[name](agent, publisher)


def _read(board, data):
    """Step 1: counter, name, arguments."""
    gateway = board.trust.gateway
    if gateway is None:
        raise Refused("grant", "no gateway is granted")
    try:
        fields = verified(data, gateway, _COMMAND)
    except MessageError as error:
        raise Refused("signature", str(error)) from None
    if not isinstance(fields, list) or len(fields) != 4:
        raise Refused("shape", "not a command")
    device, counter, name, arguments = fields
    if not (uint(counter) and isinstance(name, bytes) and isinstance(arguments, list)):
        raise Refused("shape", "malformed command")
    if device != board.device:
        raise Refused("device", "for another device")
    try:
        return counter, name.decode(), arguments
    except UnicodeError:
        raise Refused("shape", "malformed command") from None


def _take(store, counter):
    """Step 2."""
    kept = hal.blob(store, COUNTER, 8)
    if kept and counter <= int.from_bytes(kept, "big"):
        raise Refused("counter", "not above %d" % int.from_bytes(kept, "big"))
    store.set_blob(COUNTER, counter.to_bytes(8, "big"))
    store.commit()


def _check(config, name, arguments):
    """Step 3."""
    if name not in _NAMES.split():
        raise Refused("name", "there is no such command")
    allowed = config["commands"] or _DEFAULT
    if name not in allowed.split():
        raise Refused("allowed", "the owner allows: " + allowed)
    numbers = all(uint(one) for one in arguments)
    if len(arguments) != _ARGUMENTS.get(name, 0) or not numbers:
        raise Refused("args", "%s takes %d numbers" % (name, _ARGUMENTS.get(name, 0)))
    if name == "identify":
        if config["led_pin"] is None:
            raise Refused("args", "this board has no light")
        if arguments[0] > _MAX_IDENTIFY_S:
            raise Refused("args", "identify takes up to %d seconds" % _MAX_IDENTIFY_S)


def _sign(agent, counter, name):
    """Step 4: the seq of the event, None of a chain that is halted."""
    if agent.chain.halted:
        return None
    agent.seal()
    return agent.event(_EVENT, counter, name.encode())


def _identify(agent, _, seconds):
    agent.identify_ms = hal.uptime_ms() + seconds * 1000


def _resend(_, publisher, first):
    publisher.cursor = min(first, publisher.cursor)


def _reset(agent, _):
    agent.link.close()
    hal.sleep_ms(50)
    hal.reset()


def _unlock(agent, publisher):
    from tally import lock

    if lock.unlock():
        _reset(agent, publisher)
    unload("lock")


def _rotate(agent, _):
    from tally import rotation

    try:
        rotation.renew(agent)
    except (Halted, KeyFault, OSError) as error:
        agent.board.log("the key was not changed: %s" % error)
    finally:
        for module in ("rotation", "birth"):
            unload(module)


_DEEDS = {
    "report": lambda agent, _: agent.beacon(),
    "identify": _identify,
    "resend": _resend,
    "interval": lambda agent, _, ms: agent.board.config.set(interval_ms=ms),
    "batch": lambda agent, _, count: agent.board.config.set(batch=count),
    "reset": _reset,
    "rotate": _rotate,
    "unlock": _unlock,
}
