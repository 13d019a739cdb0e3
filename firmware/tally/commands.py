"""What the console's commands do. Loaded with each command, and forgotten after it."""

from tally import hal, lock, once, owner, unload
from tally.chain import Halted
from tally.config import ConfigError
from tally.console import MAX_LINE
from tally.keys import KeyFault
from tally.trust import MessageError, TrustError

COMMANDS = "info status challenge set unset genesis run config fingerprint rotate lock reset help"
_ELSEWHERE = (
    ("commands_show", "info status challenge fingerprint config"),
    ("commands_set", "set"),
)


class ConsoleError(Exception):
    """args: code, detail."""


def answer(console, line):
    """Do what a line says, and print the answer."""
    try:
        done = _do(console, line)
        print("OK " + done if done else "OK")
    except ConsoleError as error:
        print("ERROR %s %s" % error.args)
    except (ConfigError, Halted, KeyFault, TrustError, MessageError) as error:
        print("ERROR refused %s" % error)
    except OSError as error:
        print("ERROR storage %s" % error.args[0])


def _do(console, line):
    """The answer, None for none. Raises ConsoleError and what the modules behind a command raise."""
    if len(line) > MAX_LINE:
        raise ConsoleError("line", "longer than %d bytes" % MAX_LINE)
    try:
        name, _, rest = line.decode().strip().partition(" ")
    except UnicodeError:
        raise ConsoleError("line", "not UTF-8") from None
    if name not in COMMANDS.split():
        raise ConsoleError("command", "there is no such command")
    # wrong settings can be why it did not come up
    usable = name in ("info", "help", "reset") or (name == "set" and rest.startswith("config "))
    if console.board is None and not usable:
        raise ConsoleError("fault", console.fault)
    if lock.locked() and name not in lock.OPEN.split():
        raise ConsoleError("locked", "a locked board answers " + lock.OPEN)
    for module, names in _ELSEWHERE:
        if name in names.split():
            return once(module, name, console, rest.strip())
    return globals()["_" + name](console, rest.strip())


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
            unload(module)
    return console.board.key.public.hex()


def unhex(text, length=None):
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ConsoleError("hex", "hexadecimal digits are needed") from None
    if length is not None and len(data) != length:
        raise ConsoleError("length", "%d bytes are needed" % length)
    return data


def _help(console, _):
    return COMMANDS
