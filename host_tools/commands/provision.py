"""`tally provision`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click

from tallystick_host import (
    boards,
    files,
    label,
    limits,
    options,
    ports,
    provisioning,
    terminal,
    tray,
)
from tallystick_host.authority import Authority
from tallystick_host.enrol import Settings
from tallystick_host.enrolment import check_name
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.provisioning import Provisioned
from tallystick_host.stages import Stages
from tallystick_host.wish import CARD_KEYS, Wish
from tallystick_host.words import shown_path

__all__ = ["command", "common_options", "shown_result", "wish_of"]

_PASSWORD_BYTES = 64
_PIN_HINT = "a file whose first line is the PIN: 4 to 8 digits"
common_options = options.together(
    options.ENROLMENT,
    options.PORT,
    options.VIRTUAL,
    options.BOARD,
    options.NAME,
    options.GATEWAY,
    options.GATEWAY_URL,
    options.BROKER,
    click.option(
        "--login",
        metavar="USER",
        help="At the broker, in place of one that is made; password from --login-password-file.",
    ),
    click.option("--login-password-file", type=click.Path(path_type=Path, dir_okay=False)),
    options.NO_LOGIN,
    options.UPDATE_KEY,
    click.option("--wifi", metavar="SSID", help="Network; its password from --wifi-password-file."),
    click.option(
        "--wifi-password-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="First line: the password. Else TALLY_WIFI_PASSWORD, else it is asked for.",
    ),
    click.option(
        "--apn",
        metavar="NAME",
        help='The way out is the modem, by this access point; "" for the network\'s own.',
    ),
    click.option(
        "--sim-pin-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="First line: the SIM card's PIN. Else TALLY_SIM_PIN.",
    ),
    click.option(
        "--key",
        type=click.Choice(["flash", *CARD_KEYS]),
        help="Where the key is: flash, or an applet of the SIM card. Another place is another identity.",
    ),
    click.option(
        "--card-pin-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="First line: the applet's PIN. Else TALLY_CARD_PIN.",
    ),
    click.option("--sensor", help="Module of the sensor, as in docs/sensors.md."),
    click.option(
        "--commands",
        metavar="NAMES",
        help="What the gateway may command the board: docs/boards.md; none: nothing.",
    ),
    click.option(
        "--lock",
        is_flag=True,
        help="As the last step: no REPL, and a console that only answers questions.",
    ),
    options.INTERVAL,
    options.BATCH,
    options.EXPIRES,
    click.option(
        "--agent",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Folder of the compiled agent; else it is compiled from the source.",
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for the label, <id>.svg: a QR code of the DID.",
    ),
)
"""The options that provision and up share."""


@click.command("provision")
@common_options
@click.option(
    "--tray",
    "tray_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file of many boards: port or virtual, name, board, interval_ms, batch, sensor.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of the tray; else <tray>.report.csv.",
)
@click.option(
    "--parallel", type=click.IntRange(1, 32), default=8, help="Boards of a tray at a time."
)
@click.option("--qr", is_flag=True, help="Show the label on the screen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a board.")
@click.pass_obj
def command(
    home: Home,
    /,
    tray_path: Path | None,
    report_path: Path | None,
    parallel: int,
    qr: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Put the agent on a board that has MicroPython, enrol it, and look at a record that it signed.

    The key is made on the board and stays there. What is right already is not touched, so a command that broke off is
    repeated. Of a tray the exit status is 1 if any board failed; its report is a tray of what is left.

    \b
    tally provision --enrolment fleet.json --port auto --name tank-7 --wifi Shed \\
                    --gateway "$(tally-gateway identity)" --broker broker.local:1883
    tally provision --enrolment fleet.json --tray boards.csv --broker broker.local:1883
    tally provision --enrolment fleet.json --tray boards.csv.report.csv --broker broker.local:1883
    """
    if tray_path is not None:
        if given["port"] or given["virtual"] or given["name"]:
            raise UseError("with --tray, ports and names stand in its file")
        return _tray(home, tray_path, report_path, parallel, given, as_json)
    wish = wish_of(given)
    who = Authority.load(home, given["enrolment_path"], given["gateway"])
    done = provisioning.provision(wish, who, Stages())
    shown_result(done, as_json=as_json, qr=qr)
    return 0


def wish_of(given: Mapping[str, Any]) -> Wish:
    """What the options ask for."""
    board = None if given["board_id"] is None else boards.find(given["board_id"])
    port = options.one_board(given["port"], given["virtual"], board)
    kind = boards.kind(board, given["virtual"])
    return replace(_shared(given), port=port, virtual=given["virtual"], board=board, kind=kind)


def _shared(given: Mapping[str, Any]) -> Wish:
    """What holds for every board of a call."""
    host, number = options.broker_address(given["broker"])
    return Wish(
        given["enrolment_path"],
        Settings(
            host,
            number,
            interval_ms=given["interval"],
            batch=given["batch"],
            make_login=not given["no_login"],
            other_login=given["login"] is not None,
            update_key=given["update_key"],
        ),
        name=None if given["name"] is None else check_name(given["name"]),
        wifi_ssid=given["wifi"],
        wifi_password=_password(given["wifi"], given["wifi_password_file"], "TALLY_WIFI_PASSWORD"),
        login_user=given["login"],
        login_password=_password(
            given["login"], given["login_password_file"], "TALLY_LOGIN_PASSWORD"
        ),
        sensor=given["sensor"],
        agent=given["agent"],
        gateway_url=given["gateway_url"],
        valid_days=given["expires"],
        labels=given["labels"],
        commands=given["commands"],
        lock=given["lock"],
        apn=given["apn"],
        key=given["key"],
        sim_pin=_pin(given["sim_pin_file"], "TALLY_SIM_PIN"),
        card_pin=_pin(given["card_pin_file"], "TALLY_CARD_PIN"),
    )


def _pin(path: Path | None, variable: str) -> str | None:
    """A PIN from a file or the environment, never from an argument; None where neither has one."""
    if path is None and variable not in os.environ:
        return None
    whose = shown_path(path) if path is not None else variable
    pin = _first_line(path, _PIN_HINT) if path is not None else os.environ[variable]
    pin = pin.strip()
    if not pin:
        raise UseError(f"{whose!r} is empty: no PIN", code="pin.empty", hint=_PIN_HINT)
    if not (4 <= len(pin) <= 8 and pin.isascii() and pin.isdigit()):
        # what stands there may be a secret all the same
        raise UseError(f"{whose!r} holds no PIN", code="pin.form", hint=_PIN_HINT)
    return pin


def _first_line(path: Path, hint: str) -> str:
    # a line that is too long is said to be so, and not shown
    try:
        lines = files.read(path, limits.PASSWORD_FILE_BYTES).decode("utf-8", "replace").splitlines()
    except UndoneError as error:
        raise UndoneError(error.detail, code=error.code, hint=hint) from error
    return lines[0] if lines else ""


def _password(who: str | None, path: Path | None, variable: str) -> str | None:
    """A password from a file, the environment or a person; never from an argument, which others can read."""
    if who is None:
        if path is not None:
            raise UseError(
                f"{shown_path(path)!r} is a password of nobody", hint="--wifi SSID, --login USER"
            )
        return None
    if path is not None:
        text = _first_line(path, "a file whose first line is the password")
    elif variable in os.environ:
        text = os.environ[variable]
    elif sys.stdin.isatty():
        text = click.prompt(
            f"password of {who}", hide_input=True, err=True, default="", show_default=False
        )
    else:
        text = ""
    if len(text.encode()) > _PASSWORD_BYTES:
        raise UseError(f"the password of {who!r} is longer than {_PASSWORD_BYTES} bytes")
    return text or None


def shown_result(done: Provisioned, *, as_json: bool, qr: bool) -> None:
    """What became of a board: talk, and its line of data."""
    result = done.enrolled
    if done.files_written:
        terminal.talk(f"  {done.files_written} files of the agent written")
    for line in result.done:
        terminal.talk(f"  {line}")
    for line in result.notes:
        terminal.warning(line)
    if not result.done and not done.files_written:
        terminal.talk(f"{result.device.id} is provisioned already; nothing changed")
    if qr:
        for line in label.for_terminal(result.device):
            terminal.talk(line)
    if as_json:
        terminal.json_line({"schema": 1, **_facts(done)})
        return
    terminal.data(f"{result.device.id}  {result.device.did}  {result.device.name or '-'}")


def _facts(done: Provisioned) -> dict[str, object]:
    result = done.enrolled
    return {
        "id": result.device.id,
        "did": result.device.did,
        "name": result.device.name,
        "files_written": done.files_written,
        "digest": done.digest,
        "record": done.record,
        "looked_at": done.looked_at,
        "label": None if done.label is None else str(done.label),
        "changed": result.done,
        "notes": result.notes,
    }


def _tray(
    home: Home,
    path: Path,
    report_path: Path | None,
    parallel: int,
    given: Mapping[str, Any],
    as_json: bool,
) -> int:
    rows = tray.read(path)
    target = report_path
    if target is None:
        own = path.name.endswith(".report.csv")
        target = path if own else path.with_name(f"{path.name}.report.csv")
    who = Authority.load(home, given["enrolment_path"], given["gateway"])
    shared = _shared(given)
    known = {row.board: boards.find(row.board) for row in rows if row.board}
    default = None if given["board_id"] is None else boards.find(given["board_id"])

    def work(row: tray.Row) -> str:
        board = known.get(row.board, default)
        settings = shared.settings
        settings = replace(
            settings,
            interval_ms=row.number("interval_ms") or settings.interval_ms,
            batch=row.number("batch") or settings.batch,
        )
        fitting = [board] if board is not None and board.usb else boards.load_all()
        virtual = Path(row.virtual) if row.virtual else None
        wish = replace(
            shared,
            settings=settings,
            port=ports.choose(row.port, fitting) if row.port else None,
            virtual=virtual,
            name=row.name or None,
            board=board,
            kind=boards.kind(board, virtual),
            sensor=row.sensor or shared.sensor,
        )
        done = provisioning.provision(wish, who, Stages(f"{row.place}: "))
        return done.enrolled.device.id

    results = list(rows)
    if not as_json:
        terminal.data("name,place,id,result,reason")
    try:
        for index, row in tray.run(rows, work, parallel):
            results[index] = row
            _tell(row, as_json=as_json)
            tray.report(target, results)
    finally:
        tray.report(target, results)
    failed = [row for row in results if row.result != tray.DONE]
    terminal.talk(
        f"{len(results) - len(failed)} of {len(results)} boards done; report: {shown_path(target)}"
    )
    for row in failed:
        terminal.talk(f"  {row.place}: {row.reason}")
    if failed:
        terminal.hint(f"put it right, then: tally provision --tray {shown_path(target)} ...")
    return 1 if failed else 0


def _tell(row: tray.Row, *, as_json: bool) -> None:
    """One row of result on stdout."""
    place = row.port or row.virtual
    if as_json:
        facts = {"name": row.name or None, "place": place, "id": row.id or None}
        terminal.json_line(
            {"schema": 1, **facts, "result": row.result, "reason": row.reason or None}
        )
        return
    quoted = row.reason.replace('"', '""')
    terminal.data(f'{row.name},{place},{row.id},{row.result},"{quoted}"')
