"""`tally report`."""

from __future__ import annotations

import time
from pathlib import Path

import rich_click as click

from tallystick.verdict import Verdict
from tallystick_host import files, limits, options, policy_file, terminal
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.verified import verified
from tallystick_host.words import shown, shown_path

__all__ = ["command"]


@click.command("report")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Default: the name of FILE with .html behind it.",
)
@options.POLICY
@options.together(*options.RPC)
@click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    help="To call the board by its name.",
)
@click.option("--force", is_flag=True, help="Replace the report if it is there.")
@click.pass_obj
def command(
    home: Home,
    path: Path,
    output: Path | None,
    policy_path: Path | None,
    urls: tuple[str, ...],
    url_paths: tuple[str, ...],
    enrolment_path: Path | None,
    force: bool,
) -> int:
    """Verify FILE and write one HTML file that shows why.

    It needs nothing but itself, prints on two pages, and carries the proof: tally verify and verify.html check a report
    as they check a proof. The exit status is that of the verdict. A bridge's transaction is looked up only with --rpc.

    \b
    tally report cold-room-41.tally -o cold-room-41.html
    tally verify cold-room-41.html
    """
    from importlib.metadata import version

    from tallystick_host import report

    trusted = policy_file.read(policy_path or home.policy_path)
    target = output or path.with_suffix(".html")
    if target.exists() and not force:
        raise UseError(f"{shown_path(target)!r} exists already", hint="--force replaces it")
    found = verified(path, trusted, options.nodes(urls, url_paths))
    if len(found.data) > limits.REPORT_PROOF_BYTES:
        raise UndoneError(
            f"{found.name!r} has {len(found.data)} bytes, a report carries at most "
            f"{limits.REPORT_PROOF_BYTES}",
            code="report.too-long",
            hint="tally prove makes a proof of fewer records, and tally verify has no such limit",
        )
    given = report.Given(
        found.data,
        found.proof,
        found.verdict,
        trusted,
        shown(path.name),
        _name(found.verdict, enrolment_path),
        target.name,
        int(time.time()),
        version("tallystick"),
    )
    html = report.render(given).encode()
    if target.exists():
        files.replace(target, html)
    else:
        files.write_new(target, html)
    terminal.talk(f"{found.name}: {terminal.styled(str(found.verdict.status))}")
    terminal.data(shown_path(target))
    return found.verdict.exit_status


def _name(verdict: Verdict, enrolment_path: Path | None) -> str:
    if enrolment_path is None:
        return ""
    devices = Enrolment.load(enrolment_path).devices
    return next((shown(one.name or "") for one in devices if one.did == verdict.device), "")
