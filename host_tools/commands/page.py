"""`tally page`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import files, page, terminal
from tallystick_host.errors import UseError
from tallystick_host.words import shown_path

__all__ = ["command"]


@click.command("page")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("verify.html"),
    help="Default: verify.html.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(output: Path, force: bool) -> None:
    """Write verify.html: one page that verifies proofs and reports in a browser.

    It runs from a file or any web server, needs nothing else, and can send nothing anywhere. Hand it to whoever has a
    proof and no tally.

    \b
    tally page -o verify.html
    """
    made = page.assembled().encode()
    if not output.exists():
        files.write_new(output, made)
    elif force:
        files.replace(output, made)
    else:
        raise UseError(f"{shown_path(output)!r} exists already", hint="--force replaces it")
    terminal.data(shown_path(output))
