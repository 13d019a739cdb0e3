"""`tally boards`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import boards, terminal
from tallystick_host.errors import UseError
from tallystick_host.flashing import download_hint
from tallystick_host.words import columns

__all__ = ["command"]

_SHOWN = ("id", "name", "chip", "minimum", "sensor", "modem", "storage")


@click.group("boards")
def command() -> None:
    """The boards that tally knows.

    \b
    tally boards list
    tally boards show LILYGO_T_A7670
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a board.")
def list_boards(as_json: bool) -> None:
    """All boards."""
    known = boards.load_all()
    if as_json:
        for board in known:
            terminal.json_line({"schema": 1, **board.facts()})
        return
    for line in columns([(board.id, board.chip or "-", board.name) for board in known]):
        terminal.data(line)


@command.command("show")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
def show(id: str, as_json: bool) -> None:
    """One board: chip, pins, how it gets into download mode."""
    board = boards.find(id)
    if as_json:
        terminal.json_line({"schema": 1, **board.facts()})
        return
    rows = [(name, str(getattr(board, name)) or "-") for name in _SHOWN]
    rows += [(wire, f"GPIO {pin}") for wire, pin in board.pins.items()]
    for line in columns(rows):
        terminal.data(line)
    if not board.simulator:
        terminal.data(download_hint(board).removesuffix("; then repeat the command"))
    for text in board.warnings:
        terminal.warning(text)


@command.command("check")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(folder: Path) -> None:
    """Check the board.toml of a new board: FOLDER is boards/<ID>."""
    path = folder / "board.toml"
    if not path.is_file():
        raise UseError(f"no {str(path)!r}", hint="copy the folder of a board that is like it")
    # a folder given as `.` has its name all the same
    board = boards.read(path.resolve())
    for text in board.warnings:
        terminal.warning(text)
    terminal.data(f"{board.id}: good")
