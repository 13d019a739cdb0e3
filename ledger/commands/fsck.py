"""`tally-ledger fsck`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from tallystick_ledger.commands.options import AS_JSON, DIR
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import progress

__all__ = ["command"]


@click.command("fsck")
@DIR
@AS_JSON
def command(folder: Path, as_json: bool) -> None:
    """Derive everything again from the stored blocks; exit status 1 if something differs.

    Works beside a running ledger. Of blocks that were pruned the ids are checked.
    """
    from tallystick_ledger.fsck import check

    with progress("checking blocks") as step:
        report = check(Folder(folder).database, step)
    if as_json:
        click.echo(json.dumps({"schema": 1, "sound": not report.damage, **asdict(report)}))
    else:
        for line in report.damage:
            click.echo(f"damage: {line}")
        pruned = f", {report.pruned} pruned" if report.pruned else ""
        click.echo(
            f"{'damaged' if report.damage else 'ok'}: {report.blocks} blocks, {report.confirmed} confirmed,"
            f" {report.milestones} milestones{pruned}"
        )
    if report.damage:
        raise LedgerError(
            f"'{folder}' is damaged in {len(report.damage)} places",
            hint="stop the ledger and restore the newest sound backup",
        )
