"""`tally flash`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import boards, flashing, image, image_folder, ports, terminal
from tallystick_host.boards import Board
from tallystick_host.commands.firmware import firmware_option, images_option
from tallystick_host.errors import UseError
from tallystick_host.flashing import Chip, Esptool
from tallystick_host.stages import Stages

__all__ = ["command", "flash_board"]

_RATES = (115_200, 230_400, 460_800, 921_600)


@click.command("flash")
@click.option("--port", default=ports.AUTO, help="Serial port; auto: the only board on USB.")
@click.option("--board", "board_id", help="Which board it is; else the plain one of its chip.")
@firmware_option
@images_option
@click.option("--erase-identity", is_flag=True, help="Erase the board's key and records, too.")
@click.option("--confirm", metavar="ID", help="What --erase-identity asks for, for scripts.")
@click.option("--baud", type=click.Choice([str(r) for r in _RATES]), default=str(flashing.BAUD))
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    default=5,
    help="How often to knock at a silent chip.",
)
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
def command(
    port: str,
    board_id: str | None,
    firmware: Path | None,
    images: Path | None,
    erase_identity: bool,
    confirm: str | None,
    baud: str,
    attempts: int,
    as_json: bool,
) -> None:
    """Write MicroPython to a board, and verify it. Key, chain and records of a provisioned board stay.

    Only bootloader, partition table and program are written. A board whose flash is divided in another way is refused.

    \b
    tally flash
    tally flash --port /dev/ttyUSB0 --board LILYGO_T_A7670 --firmware ESP32_GENERIC-20250911-v1.26.1.bin
    tally flash --erase-identity        a new identity: the old key is gone for good
    """
    facts = flash_board(
        port,
        board_id,
        firmware,
        images,
        Stages(),
        erase_identity=erase_identity,
        confirm=confirm,
        baud=int(baud),
        attempts=attempts,
    )
    if as_json:
        terminal.json_line({"schema": 1, **facts})
        return
    terminal.data(f"{facts['mac']}  {facts['board']}  {facts['image']}  {facts['was']}")


def flash_board(
    port: str,
    board_id: str | None,
    firmware: Path | None,
    images: Path | None,
    stages: Stages,
    *,
    erase_identity: bool = False,
    confirm: str | None = None,
    baud: int = flashing.BAUD,
    attempts: int = 5,
) -> dict[str, object]:
    """Flash one board; the facts of it."""
    known = boards.load_all()
    board = None if board_id is None else boards.find(board_id)
    if board is not None and board.simulator:
        raise UseError(f"{board.id} is a simulator: it has nothing to flash")
    name = ports.choose(port, known if board is None else [board])
    # before the chip is touched: a wrong file is better found now
    picture = None if board is None else _image(board, firmware, images)
    doomed = _doomed(name) if erase_identity else None
    stages.say("preparing", f"{name}: which chip?")
    tool = Esptool(name, attempts=attempts, baud=baud)
    chip = tool.connect(board)
    if board is None:
        board = _plain(chip, known)
        picture = _image(board, firmware, images)
    flashing.check_chip(chip, board)
    if picture is None:
        picture = _image(board, firmware, images)
    stages.say("preparing", f"{chip.name} {chip.mac}, {picture.path.name} for {board.id}")
    if erase_identity:
        _confirm(doomed or chip.mac, confirm)
    was = flashing.write(tool, board, picture, stages, erase_identity=erase_identity)
    stages.say("finished", f"{board.id}, verified")
    if board.native_usb:
        terminal.hint("its USB is the chip's own: the port may have another name after the reset")
    return {
        "board": board.id,
        "chip": chip.name,
        "mac": chip.mac,
        "port": name,
        "image": picture.path.name,
        "sha256": picture.sha256,
        "version": picture.version,
        "was": was,
    }


def _image(board: Board, firmware: Path | None, images: Path | None) -> image.Image:
    path = firmware or image_folder.newest(images or image_folder.default(), board)
    image_folder.check_sum(path)
    return image.read(path, board)


def _plain(chip: Chip, known: list[Board]) -> Board:
    """The board of that chip without anything on it."""
    for board in known:
        if board.chip == chip.name and board.id.startswith("ESP32_GENERIC"):
            return board
    raise UseError(f"no board with an {chip.name}", code="flash.chip", hint="tally boards list")


def _doomed(port: str) -> str | None:
    """The id of the board that is to lose its identity, its unacknowledged records saved; None if it says none."""
    from tallystick_host import repl

    return repl.farewell(port)


def _confirm(word: str, given: str | None) -> None:
    """Have the person type the board's id, or what stands for it."""
    terminal.warning(f"{word} loses its private key, the head of its chain, and all its records")
    terminal.talk(
        "afterwards it is another board: it has to be enrolled anew, and the old id is dead"
    )
    typed = given if given is not None else click.prompt(f"type {word} to go on", err=True)
    if typed.strip() != word:
        raise UseError("not confirmed; nothing was erased", code="flash.confirm")
