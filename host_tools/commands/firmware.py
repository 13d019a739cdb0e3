"""`tally firmware`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import boards, image_folder, terminal
from tallystick_host.errors import HostError
from tallystick_host.words import columns, shown_path

__all__ = ["command"]

firmware_option = click.option(
    "--firmware",
    type=click.Path(path_type=Path, dir_okay=False),
    help="MicroPython's image; else the newest in the folder of images.",
)
images_option = click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TALLY_IMAGES",
    help="Folder of the images. Default: the user's data folder. [env: TALLY_IMAGES]",
)


@click.group("firmware")
def command() -> None:
    """MicroPython images for the boards.

    \b
    tally firmware fetch ~/Downloads/ESP32_GENERIC-20250911-v1.26.1.bin
    tally firmware list
    """


@command.command("fetch")
@click.argument("source")
@click.option(
    "--sha256", metavar="HASH", help="What the image must have; else SHA256SUMS beside it."
)
@images_option
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
def fetch(source: str, sha256: str | None, images: Path | None, as_json: bool) -> None:
    """Copy an image from an address or a file into the folder that tally flash takes from.

    \b
    tally firmware fetch https://mirror.example/ESP32_GENERIC_C3-20250911-v1.26.1.bin --sha256 9f86d0...
    """
    path, actual, checked = image_folder.fetch(source, images or image_folder.default(), sha256)
    if not checked:
        terminal.warning("nobody said which SHA-256 it must have; compare it with the publisher's")
    if as_json:
        terminal.json_line({"schema": 1, "path": str(path), "sha256": actual, "checked": checked})
        return
    terminal.data(f"{actual}  {shown_path(path)}")


@command.command("list")
@images_option
def list_images(images: Path | None) -> None:
    """The image that each board would get."""
    folder = images or image_folder.default()
    rows = []
    for board in boards.load_all():
        if board.simulator:
            continue
        try:
            rows.append((board.id, image_folder.newest(folder, board).name))
        except HostError as error:
            rows.append((board.id, f"- ({error.code})"))
    for line in columns(rows):
        terminal.data(line)
