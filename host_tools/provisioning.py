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

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick import proof
from tallystick.body import Rotate
from tallystick.errors import TallystickError
from tallystick_host import agent_files, board_trouble, enrol, files, label, source
from tallystick_host.agent_files import AgentFiles
from tallystick_host.authority import Authority
from tallystick_host.boards import Board
from tallystick_host.console import Console
from tallystick_host.enrol import Enrolled
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import HostError, RefusedError, UndoneError
from tallystick_host.question import AtSeq
from tallystick_host.repl import Repl
from tallystick_host.stages import Stages
from tallystick_host.transport import SerialPort, VirtualBoard
from tallystick_host.wish import Wish, check, free, settle
from tallystick_host.words import shown, shown_path

__all__ = ["Provisioned", "provision"]

RECORD_S: Final = 60.0  # until a record is signed and, with a gateway, in its log
CONNECT_S: Final = 15.0  # until a board that signs has its first acknowledgement, or knows why not
_PROBE_S: Final = 2.0  # for an agent that runs already
_POLL_S: Final = 0.5
_LOCKED: Final = (
    "locked: nobody with a terminal or mpremote reads or changes it. Whoever holds the board still reads the key{board}"
    " with esptool: only secure boot and flash encryption, burnt into a chip for good, keep that from him"
)


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
    check(wish)
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
    done = free(wish, console, info)
    if done:
        info = console.facts("info")
    if "key" in info and info.get("owner") in (None, authority.owner.public.raw.hex()):
        enrol.proven(console, enrolment, info)
        done += settle(wish, console, info)
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
