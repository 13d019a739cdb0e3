"""From a board with MicroPython to one that is enrolled, runs, and has signed.

1. The agent's files, unless the board runs exactly these: its console says the digest.
2. It starts: at its first start it makes its key.
3. It proves the key, and gets its settings. A board of another owner gets nothing.
4. Enrolment (`tallystick_host.enrol`), which puts the board into the enrolment file as its last step.
5. It runs, and a record that it signed is looked at: the gateway's copy if one is named, else the board's own count.

A command that was cut short is repeated, and goes on where it was. Passwords are in no argument list, no message and no
report; on the board they go in and do not come out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick import proof
from tallystick.body import Rotate
from tallystick.errors import TallystickError
from tallystick_host import agent_files, board_trouble, enrol, files, label, limits, source
from tallystick_host.agent_files import AgentFiles
from tallystick_host.authority import Authority
from tallystick_host.boards import Board
from tallystick_host.console import Console
from tallystick_host.enrol import Enrolled, Settings
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import HostError, RefusedError, UndoneError, UseError
from tallystick_host.question import AtSeq
from tallystick_host.repl import Repl
from tallystick_host.stages import Stages
from tallystick_host.transport import SerialPort, VirtualBoard
from tallystick_host.words import shown, shown_path

__all__ = ["Provisioned", "Wish", "check_commands", "provision"]

RECORD_S: Final = 60.0  # until a record is signed and, with a gateway, in its log
CONNECT_S: Final = 15.0  # until a board that signs has its first acknowledgement, or knows why not
_PROBE_S: Final = 2.0  # for an agent that runs already
_POLL_S: Final = 0.5
COMMANDS: Final = (
    *("none", "report", "identify", "resend", "reset", "interval", "batch", "rotate", "unlock"),
)  # docs/format.md, section 6
_PINS: Final = ("sim_pin", "card_pin")
_LOCKED: Final = (
    "locked: nobody with a terminal or mpremote reads or changes it. Whoever holds the board still reads the key{board}"
    " with esptool: only secure boot and flash encryption, burnt into a chip for good, keep that from him"
)
_NO_KEY: Final = "no key"  # how the fault of such a board begins
CARD_KEYS: Final = ("iot-safe", "signit")
_DEFAULT_SENSOR: Final = "tally.chip_sensor"


@dataclass(frozen=True)
class Wish:
    """What is wanted for one board. Exactly one of `port` and `virtual`; `board` None: find out. `kind`: what the
    credential says that it is; None: what it says already, or nothing.
    """

    enrolment_path: Path
    settings: Settings
    port: str | None = None
    virtual: Path | None = None
    board: Board | None = None
    kind: str | None = None
    name: str | None = None
    wifi_ssid: str | None = None
    wifi_password: str | None = field(default=None, repr=False)
    login_user: str | None = None
    login_password: str | None = field(default=None, repr=False)
    sensor: str | None = None
    agent: Path | None = None
    gateway_url: str | None = None
    valid_days: int | None = None
    labels: Path | None = None
    commands: str | None = None
    lock: bool = False
    apn: str | None = None
    key: str | None = None
    sim_pin: str | None = field(default=None, repr=False)
    card_pin: str | None = field(default=None, repr=False)


@dataclass
class Provisioned:
    """What became of it. `record`: the seq of a signed record that was looked at, and where."""

    enrolled: Enrolled
    files_written: int
    digest: str
    record: int | None = None
    looked_at: str = ""
    label: Path | None = None


def provision(
    wish: Wish,
    authority: Authority,
    stages: Stages,
    keep: Callable[[Console, Provisioned], None] | None = None,
    heard: Callable[[str], None] = lambda _: None,
) -> Provisioned:
    """Do it. `keep` gets the running board at the end, before we let go of it; `heard` its talk."""
    written = 0
    if wish.commands is not None:
        check_commands(wish.commands)
    if (wish.apn is not None or wish.key in CARD_KEYS) and wish.board and wish.board.usb:
        _check_modem(wish.board)
    if wish.port is not None:
        written = _files(wish, wish.port, stages)
    transport: SerialPort | VirtualBoard = (
        SerialPort(wish.port) if wish.port is not None else VirtualBoard(wish.virtual or Path())
    )
    try:
        console = Console(transport, heard=heard)
        stages.say("waiting", f"for {transport.name}")
        console.wake()
        info = console.facts("info")
        if info.get("locked"):
            raise _is_locked(info)
        result = _enrol(wish, authority, console, info, stages)
        done = Provisioned(result, written, str(info.get("digest")))
        _label(wish, done, stages)
        if wish.settings.broker_host or console.facts("config").get("broker_host"):
            enrol.start(console)
            _look(wish, console, done, stages)
        else:
            result.notes.append("no broker is set: the board waits for it")
        if wish.lock:
            stages.say("locking", result.device.id)
            console.ask(f"lock {result.device.id}")
            result.done.append("locked")
            result.notes.append(
                _LOCKED.format(board="" if wish.board is None else f" of {wish.board.id}")
            )
        if keep is not None:
            keep(console, done)
        return done
    finally:
        transport.close()


def _files(wish: Wish, port: str, stages: Stages) -> int:
    """Step 1 and 2: how many files were written."""
    given = None if wish.agent is None else agent_files.in_folder(wish.agent)
    info = _running(port)
    if info.get("locked"):
        raise _is_locked(info)
    running = info.get("digest")
    if running is not None:
        agent = given or _for_board(wish.board)
        if agent is not None and agent.digest == running:
            return 0
    stages.say("preparing", f"{shown(port)}: which machine?")
    repl = Repl(port)
    architecture = repl.architecture()
    board = wish.board
    if board is not None and architecture not in board.architectures.values():
        raise RefusedError(
            f"the board's MicroPython is made for {architecture}, "
            f"{board.id} has {' or '.join(board.architectures.values())}",
            code="provision.board",
            hint="is it another board than --board says?",
        )
    agent = given or agent_files.built(architecture)
    if running == agent.digest:
        repl.reset()
        return 0
    stages.say("writing", f"the agent, {len(agent.facts)} files")
    written = repl.copy(agent)
    repl.reset()
    return written


def _for_board(board: Board | None) -> AgentFiles | None:
    return None if board is None else agent_files.built(board.architecture)


def check_commands(text: str) -> None:
    """Are these names of commands that a gateway may give? `UseError` if not."""
    unknown = [name for name in text.split() if name not in COMMANDS]
    if unknown or not text.split():
        raise UseError(
            f"{shown(' '.join(unknown) or text)!r} is no command of a gateway",
            hint=f"some of: {' '.join(COMMANDS)}; or none",
        )


def _check_modem(board: Board) -> None:
    if not board.modem_args:
        raise UseError(
            f"{board.id} has no modem",
            hint="--apn and --key iot-safe|signit are for boards with one: tally boards list",
        )


def _is_locked(info: dict[str, Any]) -> RefusedError:
    return RefusedError(
        f"board {shown(str(info.get('id')))} is locked: nothing can be changed over this cable",
        code="provision.locked",
        hint="tally-gateway command ID unlock, if its owner allowed that; else tally flash --erase-identity",
    )


def _running(port: str) -> dict[str, Any]:
    """What an agent at `port` says of itself, {} if none answers soon."""
    transport = SerialPort(port)
    transport.start_s = _PROBE_S
    try:
        console = Console(transport)
        console.wake()
        return console.facts("info")
    except HostError:
        return {}
    finally:
        transport.close()


def _enrol(
    wish: Wish, authority: Authority, console: Console, info: dict[str, Any], stages: Stages
) -> Enrolled:
    """Steps 3 and 4."""
    enrolment = Enrolment.load(wish.enrolment_path, or_new=True)
    done = _free(wish, console, info)
    if done:
        info = console.facts("info")
    if "key" in info and info.get("owner") in (None, authority.owner.public.raw.hex()):
        enrol.proven(console, enrolment, info)
        done += _settings(wish, console, info)
    stages.say("enrolling", str(info.get("id", "")))
    result = enrol.enrol(
        console,
        enrolment,
        authority,
        settings=wish.settings,
        name=wish.name,
        valid_days=wish.valid_days,
        kind=wish.kind,
    )
    result.done[:0] = done
    return result


def _free(wish: Wish, console: Console, info: dict[str, Any]) -> list[str]:
    """Give a board whose SIM card does not open what it lacks: it answers nothing else, and not whose it is."""
    if "key" in info or not str(info.get("fault")).startswith(_NO_KEY):
        return []
    given = {"key": wish.key, "sim_pin": wish.sim_pin, "card_pin": wish.card_pin}
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        return []
    console.ask(f"set config {json.dumps(wanted)}")
    console.ask("reset")
    console.wake(limits.CARD_START_S)
    return [f"{name} set" for name in wanted]


def _settings(wish: Wish, console: Console, info: dict[str, Any]) -> list[str]:
    """What enrolment does not set: network, login, sensor, light. What is right is not touched."""
    present = console.facts("config")
    done: list[str] = []
    if wish.wifi_ssid is not None:
        unknown = present.get("wifi_ssid") != wish.wifi_ssid or (
            wish.wifi_password is not None and not present.get("wifi_password")
        )
        # a password cannot be compared: it is given again where the board does not get in with it
        offline = wish.wifi_password is not None and not console.facts("status").get("connected")
        if unknown or offline:
            # as JSON: a network's name may have spaces
            network = {"wifi_ssid": wish.wifi_ssid, "wifi_password": wish.wifi_password}
            console.ask(f"set config {json.dumps(network)}")
            done.append(f"network {shown(wish.wifi_ssid)}")
    if wish.login_user is not None and (
        present.get("broker_user") != wish.login_user or not present.get("broker_password")
    ):
        login = {"broker_user": wish.login_user, "broker_password": wish.login_password}
        console.ask(f"set config {json.dumps(login)}")
        done.append(f"login {shown(wish.login_user)}")
    wanted = _board_settings(wish, present) | _cellular(wish, present)
    if wish.commands is not None and present.get("commands") != wish.commands:
        wanted["commands"] = wish.commands
    if wanted:
        console.ask(f"set config {json.dumps(wanted)}")
        done += [f"{name} {value}" for name, value in wanted.items() if name not in _PINS]
        done += [f"{name} set" for name in _PINS if name in wanted]
        # what is made at a start is in force after the next one; a key in the card is another identity
        at_start = {"sensor", "net", "modem_args"} & wanted.keys()
        if "key" in wanted or (at_start and info.get("state") != "waiting"):
            console.ask("reset")
            console.wake(limits.CARD_START_S)
    return done


def _cellular(wish: Wish, present: dict[str, Any]) -> dict[str, object]:
    """The settings of modem and SIM card that are asked for and not there yet."""
    wanted: dict[str, object] = {}
    args = dict(present.get("modem_args") or {})
    if wish.board is not None and (wish.apn is not None or wish.key in CARD_KEYS):
        args |= wish.board.modem_args
    if wish.apn is not None:
        args["apn"] = wish.apn
        wanted["net"] = "modem"
    wanted |= {"modem_args": args, "key": wish.key or present.get("key")}
    wanted = {name: value for name, value in wanted.items() if present.get(name) != value}
    # a PIN cannot be compared: it is given again
    pins = {"sim_pin": wish.sim_pin, "card_pin": wish.card_pin}
    return wanted | {name: pin for name, pin in pins.items() if pin is not None}


def _board_settings(wish: Wish, present: dict[str, Any]) -> dict[str, object]:
    """What the board's file says and the board does not know yet; a sensor that somebody chose stays."""
    wanted: dict[str, object] = {}
    board = wish.board
    sensor = wish.sensor
    if sensor is None and board is not None and present.get("sensor") == _DEFAULT_SENSOR:
        sensor = board.sensor
    if sensor is not None and present.get("sensor") != sensor:
        wanted["sensor"] = sensor
    if board is not None and "led" in board.pins and present.get("led_pin", 0) is None:
        wanted |= {"led_pin": board.pins["led"], "led_active": board.led_active}
    return wanted


def _label(wish: Wish, done: Provisioned, stages: Stages) -> None:
    if wish.labels is None:
        return
    device = done.enrolled.device
    try:
        wish.labels.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UndoneError(f"cannot make the folder {shown_path(wish.labels)!r}") from error
    done.label = wish.labels / f"{device.id}.svg"
    files.replace(done.label, label.svg(device).encode())
    stages.say("label", shown_path(done.label))


def _look(wish: Wish, console: Console, done: Provisioned, stages: Stages) -> None:
    """Step 5. Not to have a record in time is an error of its own: the enrolment stands."""
    stages.say("checking", "one signed record")
    deadline = time.monotonic() + RECORD_S
    status: dict[str, Any] = {}
    newest: int | None = None
    while time.monotonic() < deadline:
        status = console.facts("status")
        signed = status.get("next")
        if isinstance(signed, int) and signed > 0:
            newest = signed - 1 if newest is None else newest
            if wish.gateway_url is None:
                done.record, done.looked_at = newest, "board"
                _connected(console, done)
                return
            if _at_gateway(wish.gateway_url, done, newest):
                done.record, done.looked_at = newest, "gateway"
                return
        elif status.get("halted") and done.enrolled.next is not None:
            break  # a board without a head waits for its gateway's word, which may take a moment
        time.sleep(_POLL_S)
    trouble = board_trouble.of(status)
    raise UndoneError(
        f"enrolled, and no record of it was seen in {RECORD_S:.0f} s: {board_trouble.said(status)}",
        code="provision.record",
        hint=trouble.remedy if trouble else "tally doctor looks for the reason",
    )


def _connected(console: Console, done: Provisioned) -> None:
    """Does the board reach its gateway? It has a moment to say so; a trouble that it names is told, with its remedy."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        status = console.facts("status")
        if status.get("upto") is not None:
            return
        waits = status.get("link") is None and status.get("light") != "no grant"
        if not waits or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    trouble = board_trouble.of(status)
    notes = done.enrolled.notes
    notes.append(f"signed, and not acknowledged by a gateway yet: {board_trouble.said(status)}")
    if trouble is not None:
        notes.append(trouble.remedy)


def _at_gateway(url: str, done: Provisioned, seq: int) -> bool:
    """Has the gateway's log record `seq` of this board? The signature of what it shows is checked."""
    device = done.enrolled.device
    try:
        parsed = proof.parse(source.from_gateway(url, device.id, AtSeq(seq), not_before=False))
    except HostError as error:
        if error.code == "source.refused":
            return False
        raise
    try:
        keys = {device.key.kid: device.key}
        for record in sorted((*parsed.rotations, *parsed.records), key=lambda one: one.seq):
            key = keys.get(record.signed.kid)
            if key is None:
                raise RefusedError(
                    f"record {record.seq} is signed by a key that no rotation of {device.id} brought",
                    code="provision.key",
                )
            record.signed.verify(key)
            if isinstance(record.body, Rotate):
                keys[record.body.key.kid] = record.body.key
    except TallystickError as error:
        raise RefusedError(f"the gateway's record: {error.detail}", code=error.code) from error
    return [seq] == [record.seq for record in parsed.records]
