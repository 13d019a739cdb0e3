"""`tally-gateway command`: a signed command to one board, and what became of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from tallystick_gateway import command as commands
from tallystick_gateway.command import Answer, CommandError
from tallystick_gateway.console import DIR, EXIT_USE, Complaint, address, enrolled, orderly, secret
from tallystick_gateway.console import authority as authority_in
from tallystick_gateway.folder import Folder
from tallystick_gateway.mqtt import Login

__all__ = ["command"]

EXIT_PENDING = 3
_HINTS = {
    "command.allowed": "the owner allows it at the board: set config "
    '{"commands": "report identify resend reset interval batch rotate unlock"}',
    "command.counter": "the board took a later command already: is this gateway's clock behind?",
    "command.signature": "the board holds the grant of another gateway: tally grant --gateway LINE",
    "command.grant": "the owner grants this gateway: tally grant --gateway LINE",
    "command.storage": "the board's storage does not take the counter: docs/field-guide.md",
}


@click.command("command", short_help="Tell a board to report, blink, resend, reset ...")
@DIR
@click.option("--broker", required=True, metavar="HOST:PORT", help="The MQTT broker.")
@click.option("--user", help="Login at the broker.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the broker's password in its first line.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Speak TLS to the broker; its certificate must come from this authority.",
)
@click.option(
    "--enrolment",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: DIR/enrolment.json.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For the board's answer.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="The broker keeps the command for a board that sleeps, until the next command.",
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as one JSON object.")
@click.argument("device")
@click.argument("name", type=click.Choice(list(commands.ARGUMENTS)))
@click.argument("args", nargs=-1, type=click.IntRange(min=0))
def command(
    path: Path,
    broker: str,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    enrolment: Path | None,
    wait_s: float,
    keep: bool,
    as_json: bool,
    device: str,
    name: str,
    args: tuple[int, ...],
) -> int:
    """Tell the board DEVICE (its id or its name) to do something. The service may run or not.

    \b
    report                  sign a beacon now
    identify SECONDS        blink, so that somebody finds it
    resend SEQ              publish again what it still has from SEQ on
    reset                   start anew
    interval MILLISECONDS   between readings   \\
    batch READINGS          in a record         > if the board's owner allows it
    rotate                  take a new key      |
    unlock                  REPL and console   /

    The command is signed by this gateway, which needs the owner's grant. The board obeys a command once, and
    signs into its chain that it did: with the service running, that record is waited for. Exit status 0 if it is
    there, 3 if the board only says so, 1 if it did not take the command or did not answer in time.

    \b
    tally-gateway command --dir DIR --broker 127.0.0.1:1883 cold-room-3 identify 60
    """
    wanted = commands.ARGUMENTS[name]
    if len(args) != len(wanted):
        usage = " ".join([name, *(one.upper() for one in wanted)])
        raise Complaint(f"{len(args)} arguments do not fit {name}", usage, EXIT_USE)
    host, port = address(broker, "--broker")
    password = secret(password_file) if password_file else None
    folder = Folder(path)
    own = orderly(folder.identity)
    authority = authority_in(ca_file) if ca_file else None
    client = f"tallystick-command-{own.id.hex()}-{os.getpid()}"
    login = Login(host, port, client, user, password, authority)
    try:
        board = commands.addressee(own, enrolled(enrolment or folder.enrolment), device)
        counter, raw = orderly(
            lambda: commands.make(folder, own, board.id, name, args, time.time())
        )
        answer = commands.send(login, board.id, counter, raw, keep=keep, wait_s=wait_s)
    except CommandError as error:
        raise Complaint(error.detail, error.hint) from error
    signed = (
        answer is not None
        and answer.seq is not None
        and _signed(folder, board.id, answer.seq, counter, name, wait_s)
    )
    _show(board.id.hex(), name, counter, answer, signed=signed, as_json=as_json)
    return _judge(answer, keep=keep, wait_s=wait_s, signed=signed)


def _signed(
    folder: Folder, device: bytes, seq: int, counter: int, name: str, wait_s: float
) -> bool:
    return orderly(lambda: commands.confirmed(folder, device, seq, counter, name, wait_s))


def _show(
    id: str, name: str, counter: int, answer: Answer | None, *, signed: bool, as_json: bool
) -> None:
    state = "no answer" if answer is None else "rejected" if answer.code else "accepted"
    seq = None if answer is None else answer.seq
    if as_json:
        facts = {"schema": 1, "id": id, "name": name, "counter": counter, "answer": state}
        facts |= {"seq": seq, "signed": signed}
        facts |= {"code": answer.code or None if answer else None}
        facts |= {"detail": answer.detail or None if answer else None}
        click.echo(json.dumps(facts))
        return
    where = "" if seq is None else f"  seq {seq}"
    click.echo(f"{id}  {name}  {state}{where}{'  signed' if signed else ''}")


def _judge(answer: Answer | None, *, keep: bool, wait_s: float, signed: bool) -> int:
    """The exit status; a complaint if the board did not take it."""
    if answer is None:
        detail = f"no answer from the board in {wait_s:g} s"
        if keep:
            raise Complaint(detail, "the broker keeps the command for it")
        raise Complaint(
            detail, "is it connected? for one that sleeps: --keep; it may hold another's grant"
        )
    if answer.code:
        raise Complaint(f"{answer.detail} ({answer.code})", _HINTS.get(answer.code, ""))
    if signed:
        return 0
    click.echo(
        "the board's chain is halted: nothing signed says that it obeyed"
        if answer.seq is None
        else "the board's record of it is not in this gateway's log yet: is the service running?",
        err=True,
    )
    return EXIT_PENDING
