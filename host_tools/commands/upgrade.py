"""`tally upgrade`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import rich_click as click

from tallystick import limits, proof, record
from tallystick.errors import TallystickError
from tallystick.proof import Proof
from tallystick.verdict import EXIT_STATUS, Check, Outcome, Status, Verdict, worst
from tallystick_host import files, options, source, terminal, trusted, upgrading
from tallystick_host.errors import HostError, UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.question import Between
from tallystick_host.sentence import hint
from tallystick_host.verified import verdict_on
from tallystick_host.words import shown_path

__all__ = ["command"]


@click.command("upgrade")
@click.argument(
    "paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--gateway", "gateway_url", metavar="URL", help="The gateway that made the proof.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="A gateway's data folder instead."
)
@click.option("--ledger", "ledger_url", metavar="URL", help="The ledger, without the gateway.")
@options.POLICY
@options.together(*options.RPC)
@click.pass_obj
def command(
    home: Home,
    paths: tuple[Path, ...],
    gateway_url: str | None,
    folder: Path | None,
    ledger_url: str | None,
    policy_path: Path | None,
    urls: tuple[str, ...],
    url_paths: tuple[str, ...],
) -> int:
    """Complete proofs that are PENDING, now that the anchor has come, and give the new verdicts.

    The records stay as they are. With --ledger the cosigned checkpoint comes along, if there is one. A file is
    replaced only by one whose verdict is not worse; the others are left as they are. A bridge's transaction is looked
    up with --rpc; without it the proof is completed all the same, and stays UNDECIDED.

    \b
    tally upgrade reading.tally --gateway http://gateway.local:8080
    tally upgrade *.tally --ledger http://ledger.local:8081
    """
    if gateway_url is not None and folder is not None:
        raise UseError("one of --gateway and --dir, not both")
    if gateway_url is None and folder is None and ledger_url is None:
        raise UseError("one of --gateway, --dir and --ledger is needed")
    given = trusted.read(policy_path or home.policy_path)
    judge = partial(verdict_on, trusted=given, nodes=options.nodes(urls, url_paths))
    statuses: list[Status] = []
    for path in paths:
        try:
            statuses.append(_upgrade(path, judge, gateway_url, folder, ledger_url))
        except (HostError, TallystickError) as error:
            pending = error.code == "upgrade.pending"
            statuses.append(Status.PENDING if pending else Status.UNDECIDED)
            terminal.error(f"{shown_path(path)}: {error.detail}", error.code)
            if error.hint:
                terminal.hint(error.hint)
    return EXIT_STATUS[worst(statuses)]


def _upgrade(
    path: Path,
    judge: Callable[[Proof], Verdict],
    gateway_url: str | None,
    folder: Path | None,
    ledger_url: str | None,
) -> Status:
    data = files.read(path, limits.PROOF_BYTES)
    old = proof.parse(data)
    before = judge(old)
    if old.anchor is None:
        data = _anchored(data, old, gateway_url, folder, ledger_url)
    if ledger_url is not None:
        data = upgrading.with_cosigned(data, ledger_url)
    after = judge(proof.parse(data))
    # that nobody has asked another ledger makes the proof no worse than it was
    told = after.replace(checks=tuple(one for one in after.checks if not _not_asked(one)))
    if worst((before.status, told.status)) is told.status and before.status is not told.status:
        raise UndoneError(
            f"what came would make it {after.status}; it stays {before.status}",
            code="upgrade.worse",
        )
    if data != files.read(path, limits.PROOF_BYTES):
        files.replace(path, data)
    terminal.data(
        f"{shown_path(path)}: {terminal.styled(str(before.status))} ->"
        f" {terminal.styled(str(after.status))}"
    )
    if advice := hint(after, shown_path(path)):
        terminal.hint(advice)
    return after.status


def _not_asked(check: Check) -> bool:
    return check.code == "ledger.transaction" and check.result is Outcome.SKIPPED


def _anchored(
    data: bytes, old: Proof, gateway_url: str | None, folder: Path | None, ledger_url: str | None
) -> bytes:
    """The proof with an anchor, from whom the user named."""
    if old.credential is None:
        raise UndoneError("the proof says not whose it is: no credential", code="proof.device")
    id = record.device_id(old.credential.device_key).hex()
    if gateway_url is not None:
        return upgrading.from_maker(old, id, partial(_from_gateway, gateway_url, id))
    if folder is not None:
        return upgrading.from_maker(old, id, partial(_from_folder, folder, id))
    return upgrading.from_ledger(data, old, ledger_url or "")


def _from_gateway(url: str, id: str, wanted: Between) -> bytes:
    return source.from_gateway(url, id, wanted, not_before=False)


def _from_folder(folder: Path, id: str, wanted: Between) -> bytes:
    return source.from_folder(folder, id, wanted, not_before=False)
