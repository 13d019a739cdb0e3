"""`tally inspect`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick import limits
from tallystick_host import files, inspection, outline, terminal
from tallystick_host.words import shown_path

__all__ = ["command"]

_WARNING = "nothing was verified: this is what the file says of itself, and no trust is implied"


@click.command("inspect")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(path: Path, as_json: bool) -> None:
    """Show what a file says: a proof, a record, a checkpoint, a block, a credential, a grant, an acknowledgement.

    No signature is checked and no trust is implied; tally verify is for that.

    \b
    tally inspect reading.tally
    tally inspect --json reading.tally | jq '.records[0].readings.rows'
    """
    facts = inspection.inspect(files.read(path, limits.PROOF_BYTES))
    if as_json:
        terminal.json_line({"schema": 1, "verified": False, "file": shown_path(path), **facts})
        return
    terminal.data(_WARNING)
    terminal.data(f"{shown_path(path)}: {facts.pop('what')}")
    for line in outline.outline(facts, "  "):
        terminal.data(line)
