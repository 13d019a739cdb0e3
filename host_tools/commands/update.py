"""`tally update`: keygen, make, show, check, publish, withdraw, status."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from tallystick import did
from tallystick import limits as library_limits
from tallystick.keys import PrivateKey
from tallystick_host import (
    agent_files,
    boards,
    broker_line,
    files,
    limits,
    options,
    terminal,
    update_client,
    update_file,
)
from tallystick_host.broker_line import Broker, Message
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.grants import gateway_key
from tallystick_host.home import Home, read_key
from tallystick_host.named import named
from tallystick_host.progress import Progress
from tallystick_host.update_client import Standing
from tallystick_host.update_file import Recipe
from tallystick_host.words import columns, plural, shown_path

__all__ = ["command"]

_PENDING = 3
_SUFFIX = ".tallyup"
_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
_LINE = (
    click.option("--broker", required=True, metavar="HOST:PORT", help="The gateway's MQTT broker."),
    *options.LOGIN,
)
_WHOM = (
    click.option("--gateway", required=True, help="Line that tally-gateway identity prints."),
    click.option(
        "--device", "names", multiple=True, metavar="BOARD", help="Id or name; as often as needed."
    ),
    click.option("--all", "everybody", is_flag=True, help="Every board that is enrolled there."),
    options.ENROLMENT,
)


@click.group("update")
def command() -> None:
    """Bring boards another agent over the air.

    A board takes what the update key signed that was pinned when it was provisioned, and nothing else; it goes back by
    itself when the new agent does not reach its gateway. docs/updates.md has the whole story.

    \b
    tally update keygen
    tally update make --board ESP32_GENERIC -o agent.tallyup
    tally update publish agent.tallyup --broker broker.local:1883 --gateway LINE --device tank-7 --wait 600
    tally update status --broker broker.local:1883
    """


@command.command("keygen")
@options.AS_JSON
@click.pass_obj
def keygen(home: Home, as_json: bool) -> None:
    """Make the key that signs updates, once: update.key, which is secret, and update.pub, which boards pin.

    \b
    tally update keygen
    tally provision --update-key ~/.config/tallystick/update.pub ...
    """
    path = home.update_path
    if path.exists():
        key = read_key(path)
        terminal.talk(f"nothing to do: {shown_path(path)} is there already")
    else:
        key = PrivateKey.generate()
        files.make_private(home.folder)
        files.write_new(path, key.to_pem(), mode=0o600)
        terminal.talk(f"made {shown_path(path)}")
        terminal.talk("whoever has it puts any code on your boards: keep it offline if you can")
        terminal.talk(
            f"boards pin the other half: --update-key {shown_path(home.update_public_path)}"
        )
    public = did.did_key(key.public)
    if not home.update_public_path.exists():
        files.write_new(home.update_public_path, f"{public}\n".encode())
    if as_json:
        terminal.json_line(
            {"schema": 1, "key": public, "public": shown_path(home.update_public_path)}
        )
        return
    terminal.data(public)


@command.command("make")
@options.BOARD
@click.option(
    "--architecture",
    type=click.Choice(agent_files.ARCHITECTURES),
    help="In place of --board: what the agent is compiled for.",
)
@click.option(
    "--agent",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the compiled agent; else it is compiled from the source.",
)
@click.option(
    "--image",
    "image_path",
    type=click.Path(path_type=Path),
    help="MicroPython itself, the .app-bin of its OTA variant, in place of an agent.",
)
@click.option(
    "--agent-version",
    "version",
    default="",
    metavar="TEXT",
    help="What the chain calls it; else the counter.",
)
@click.option(
    "--counter",
    type=click.IntRange(1, library_limits.SEQ),
    help="Above that of every update before. Default: the time in seconds.",
)
@click.option(
    "--minimum",
    type=click.IntRange(0, library_limits.SEQ),
    default=0,
    help="Only for boards that have taken this update, or a later one.",
)
@click.option(
    "--only", "calls_itself", metavar="TEXT", help="Only for boards whose `info` says this board."
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Default: update.key in the home folder.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Into this new file.")
@options.AS_JSON
@click.pass_obj
def make(
    home: Home,
    board_id: str | None,
    architecture: str | None,
    agent: Path | None,
    image_path: Path | None,
    version: str,
    counter: int | None,
    minimum: int,
    calls_itself: str | None,
    key_path: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Pack an agent, or with --image a MicroPython, into an update file, and sign it.

    \b
    tally update make --image ESP32_GENERIC-OTA-v1.26.1.app-bin --board ESP32_GENERIC --agent-version 1.26.1
    tally update make --board ESP32_GENERIC
    tally update make --architecture xtensawin --agent build/firmware/xtensawin --counter 7 -o agent-7.tallyup
    """
    if (board_id is None) == (architecture is None):
        raise UseError("one of --board and --architecture", hint="tally boards lists the boards")
    board = None if board_id is None else boards.find(board_id)
    machine = architecture or (board.architecture if board is not None else "")
    if image_path is not None and (board is None or agent is not None):
        raise UseError("--image needs --board, and brings no agent")
    key = read_key(key_path or home.update_path, "tally update keygen")
    number = int(time.time()) if counter is None else counter
    if len(version.encode()) > library_limits.NAME_BYTES or " " in version:
        raise UseError(f"--agent-version is one word of at most {library_limits.NAME_BYTES} bytes")
    if minimum >= number:
        why = f"--minimum {minimum} is not below the counter, {number}: no board could take it"
        raise UseError(why, hint="--minimum names an earlier update")
    recipe = Recipe(number, version or f"update-{number}", machine, minimum, calls_itself)
    if image_path is not None and board is not None:
        data = files.read(image_path, limits.IMAGE_BYTES)
        one = update_file.made_image(key, data, board.chip, recipe)
    else:
        one = update_file.made(key, update_file.agent_of(agent, machine), recipe)
    what = "agent" if image_path is None else "image"
    target = output or Path(f"{what}-{machine}-{number}{_SUFFIX}")
    files.write_new(target, one.raw)
    facts = update_file.facts(one)
    if as_json:
        terminal.json_line({"schema": 1, "path": str(target), **facts})
        return
    if image_path is None:
        terminal.talk(f"agent digest {facts['digest']}: what its boards state from then on")
    terminal.data(shown_path(target))


@command.command("show")
@_FILE
@options.AS_JSON
def show(path: Path, as_json: bool) -> None:
    """Show what an update says of itself. Its hashes are checked, its signature is not: that is tally update check.

    \b
    tally update show agent.tallyup
    """
    facts = update_file.facts(update_file.read(path))
    if as_json:
        terminal.json_line({"schema": 1, **facts})
        return
    rows = [(name, "-" if value is None else str(value)) for name, value in facts.items()]
    for line in columns(rows):
        terminal.data(line)


@command.command("check")
@_FILE
@click.option(
    "--update-key",
    "key_path",
    type=click.Path(path_type=Path),
    help="update.pub that the boards pin. Default: the one in the home folder.",
)
@options.AS_JSON
@click.pass_obj
def check(home: Home, path: Path, key_path: Path | None, as_json: bool) -> None:
    """Would boards that pin this key take the update? Exit status 1 if not.

    \b
    tally update check agent.tallyup --update-key update.pub
    """
    one = update_file.read(path)
    key = update_file.public_key(key_path or home.update_public_path)
    update_file.check(one, key)
    if as_json:
        terminal.json_line({"schema": 1, "signed": True, **update_file.facts(one)})
        return
    manifest = one.manifest
    terminal.data(f"good: update {manifest.counter} to {manifest.version}, by {key.kid.hex()}")


@command.command("publish")
@_FILE
@options.together(*_LINE, *_WHOM)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0.0),
    default=0.0,
    metavar="SECONDS",
    help="For the boards to say how it went.",
)
@options.AS_JSON
@click.pass_obj
def publish(home: Home, /, path: Path, wait_s: float, as_json: bool, **given: Any) -> int:
    """Hand an update to a gateway, which offers it to these boards.

    With --wait the exit status is 0 if every board runs it, 1 if one refused it or went back, 3 if one has not said
    yet. A command that broke off is repeated, and goes on where it was.

    \b
    tally update publish agent.tallyup --broker broker.local:1883 --gateway LINE --device tank-7 --wait 600
    tally update publish agent.tallyup --broker broker.local:1883 --gateway LINE --all
    """
    one = update_file.read(path)
    if home.update_public_path.exists():
        update_file.check(one, update_file.public_key(home.update_public_path))
    else:
        terminal.talk(
            "there is no update.pub here: whether boards take it, tally update check says"
        )
    at, gateway, wanted = _whom(given)
    counter = one.manifest.counter
    aside: list[Message] = []
    with update_client.line_to(at) as line:
        with Progress("to the gateway", len(one.raw)) as bar:
            update_client.upload(line, gateway, one, bar.advance)
        if wait_s:
            update_client.listen(line)
        offered = _offered(update_client.offer(line, gateway, one, wanted, aside))
        terminal.talk(f"update {counter} is offered to {plural(len(offered), 'board')}")
        if not wait_s:
            terminal.talk("tally update status shows how far they are")
            if as_json:
                terminal.json_line({"schema": 1, "counter": counter, "offered": offered})
            return 0
        ended = update_client.follow(line, offered, counter, wait_s, _teller(), aside)
    for name in offered:
        _row(ended.get(name, Standing(name, counter)), as_json=as_json)
    states = [ended[name].state if name in ended else None for name in offered]
    if any(state in ("undone", "refused") for state in states):
        return 1
    return 0 if all(state == "done" for state in states) else _PENDING


@command.command("withdraw")
@options.together(*_LINE, *_WHOM)
@options.AS_JSON
def withdraw(as_json: bool, **given: Any) -> None:
    """Take an offer back. A board that runs the update already goes on with it.

    \b
    tally update withdraw --broker broker.local:1883 --gateway LINE --all
    """
    at, gateway, wanted = _whom(given)
    with update_client.line_to(at) as line:
        asked = _offered(update_client.offer(line, gateway, None, wanted))
    terminal.talk(f"nothing is offered any more to {plural(len(asked), 'board')}")
    if as_json:
        terminal.json_line({"schema": 1, "withdrawn": asked})


@command.command("status")
@options.together(*_LINE)
@options.AS_JSON
def status(as_json: bool, broker: str, user: str | None, password_file: Path | None) -> None:
    """Show what boards said last of updates. Nobody signs that: what a board runs stands in its chain.

    \b
    tally update status --broker broker.local:1883
    """
    found = update_client.standings(broker_line.broker(broker, user, password_file))
    if not found:
        terminal.talk("no board has said anything of updates, and none is offered")
    elif as_json:
        for one in found:
            terminal.json_line({"schema": 1, **one.facts()})
    else:
        rows = [("board", "offered", "update", "state", "")]
        rows += [
            (one.device, _number(one.offered), _number(one.counter), *_words(one)) for one in found
        ]
        for line in columns(rows):
            terminal.data(line)


def _whom(given: dict[str, Any]) -> tuple[Broker, bytes, list[str] | None]:
    """Broker, gateway id, and the boards that are meant; None for all."""
    if bool(given["names"]) == given["everybody"]:
        raise UseError("which boards?", hint="--device BOARD, as often as needed, or --all")
    at = broker_line.broker(given["broker"], given["user"], given["password_file"])
    gateway = gateway_key(given["gateway"]).key.kid
    if given["everybody"]:
        return at, gateway, None
    path = given["enrolment_path"] if given["enrolment_path"].exists() else None
    return at, gateway, [named(name, path).id for name in given["names"]]


def _offered(answer: tuple[list[str], list[str]]) -> list[str]:
    offered, unknown = answer
    for name in unknown:
        terminal.warning(f"{name} is not enrolled at this gateway")
    if not offered:
        which = "none of these boards" if unknown else "no board"
        raise UndoneError(
            f"{which} is enrolled at this gateway",
            code="update.nobody",
            hint="tally devices --gateway-url URL lists its boards",
        )
    return offered


def _teller() -> Callable[[Standing], None]:
    """Talk of what boards say, each thing once."""
    said: dict[str, str] = {}

    def tell(one: Standing) -> None:
        words = " ".join(_words(one)).strip()
        if said.get(one.device) != words:
            said[one.device] = words
            terminal.talk(f"  {one.device}: {words}")

    return tell


def _row(one: Standing, *, as_json: bool) -> None:
    if as_json:
        terminal.json_line({"schema": 1, **one.facts()})
    else:
        terminal.data("  ".join((one.device, _number(one.counter), *_words(one))).rstrip())


def _words(one: Standing) -> tuple[str, str]:
    state = one.state or "not said"
    if one.code:
        return state, f"{one.detail or ''} ({one.code})"
    if one.size and one.done is not None and state == "fetching":
        return state, f"{100 * one.done // one.size} %"
    return state, one.version or ""


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
