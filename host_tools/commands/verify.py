"""`tally verify`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import rich_click as click

from tallystick.body import Readings
from tallystick.verdict import EXIT_STATUS, Outcome, Status, Verdict, worst
from tallystick_host import policy_file, proof_files, sentence, terminal
from tallystick_host.enrolment import Enrolment
from tallystick_host.home import Home
from tallystick_host.judgement import Judged, judge
from tallystick_host.status_book import read_list
from tallystick_host.words import columns, plural, rfc3339, shown

__all__ = ["command", "facts"]

_BAR_FROM = 20  # files


@click.command("verify")
@click.argument(
    "paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="Whom to trust; default: policy.toml in the home folder.",
)
@click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    help="To call boards by their names.",
)
@click.option(
    "--status-list",
    "list_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A status list of the issuer; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, one a line.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing but the exit status.")
@click.option("-v", "--verbose", is_flag=True, help="Each record as well.")
@click.pass_obj
def command(
    home: Home,
    paths: tuple[Path, ...],
    policy_path: Path | None,
    enrolment_path: Path | None,
    list_paths: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Verify proof files, offline. Folders are searched for *.tally.

    Files of one device are also compared with each other.

    \b
    0  VERIFIED    every check that the policy requires ran and passed
    1  TAMPERED    a check ran and failed
    3  PENDING     all is well so far; no ledger confirms it yet
    4  UNTRUSTED   it fits, but who signed is not in the policy, or the
                   device was suspended, stolen, retired or cloned
    5  UNDECIDED   it could not be checked: malformed, or a part missing

    Of many files the worst counts: TAMPERED, UNDECIDED, UNTRUSTED, PENDING, VERIFIED.

    \b
    tally verify reading.tally
    tally verify --json proofs/ | jq 'select(.status != "VERIFIED")'
    """
    trusted = policy_file.read(policy_path or home.policy_path)
    names = {}
    if enrolment_path is not None:
        names = {one.did: one.name or "" for one in Enrolment.load(enrolment_path).devices}
    lists = [read_list(path)[1] for path in list_paths]
    given = list(proof_files.find(paths))
    statuses: list[Status] = []
    with _progress(len(given)) as step:
        for judged in judge(given, trusted, step, lists):
            statuses.append(judged.verdict.status)
            if as_json:
                terminal.json_line(facts(judged))
            elif not quiet:
                name = shown(names.get(judged.verdict.device or "", ""))
                for line in _lines(judged, name, verbose=verbose):
                    terminal.data(line)
    if len(given) > 1 and not as_json and not quiet:
        counts = [f"{statuses.count(one)} {one}" for one in Status if one in statuses]
        terminal.talk(f"{plural(len(given), 'file')}: {', '.join(counts)}")
    return EXIT_STATUS[worst(statuses)]


def facts(judged: Judged) -> dict[str, object]:
    """The verdict as `--json` prints it: schema 1. Times are RFC 3339."""
    from importlib.metadata import version

    verdict = judged.verdict
    return {
        "schema": 1,
        "file": judged.file.name,
        "status": str(verdict.status),
        "exit": verdict.exit_status,
        "device": verdict.device,
        "checks": [
            {"code": one.code, "result": str(one.result), "detail": one.detail}
            for one in verdict.checks
        ],
        "not_before": _moment(verdict.not_before),
        "not_after": _moment(verdict.not_after),
        "gateway": verdict.gateway,
        "ledger": verdict.ledger,
        "first": verdict.first,
        "last": verdict.last,
        "readings": verdict.readings,
        "notes": list(verdict.notes),
        "tool_version": version("tallystick"),
    }


def _lines(judged: Judged, name: str, *, verbose: bool) -> Iterator[str]:
    verdict = judged.verdict
    status = terminal.styled(str(verdict.status))
    yield f"{judged.file.name}: {status}: {shown(sentence.sentence(verdict, name), 4096)}"
    rows = [[str(check.result), check.code, shown(check.detail, 4096)] for check in verdict.checks]
    yield from columns(rows, indent="  ")
    yield from _window(verdict)
    if verbose and judged.proof is not None:
        records = [
            [f"seq {one.seq}", one.kind.name.lower(), rfc3339(one.time), one.id.hex()]
            for one in (*judged.proof.links, *judged.proof.records)
        ]
        yield from columns(records, indent="  ")
    yield from _clock(judged)
    for note in verdict.notes:
        yield f"  note: {shown(note, 4096)}"
    for line in sentence.not_proven(verdict):
        yield f"  not proven: {shown(line, 4096)}"


def _window(verdict: Verdict) -> Iterator[str]:
    if verdict.not_before is not None:
        yield f"  not before {rfc3339(verdict.not_before)}, by the ledger's clock"
    if verdict.not_after is not None:
        yield f"  not after {rfc3339(verdict.not_after)}, by the ledger's clock"


def _clock(judged: Judged) -> Iterator[str]:
    """What the board's own clock says, where the signatures are good enough to quote it."""
    signed = judged.verdict.check("record.signature")
    if judged.proof is None or signed is None or signed.result is not Outcome.OK:
        return
    times = [one.time for one in judged.proof.records if isinstance(one.body, Readings)]
    if times:
        first, last = rfc3339(times[0]), rfc3339(times[-1])
        between = first if first == last else f"{first} to {last}"
        yield f"  the board's clock says {between} (its own claim)"


def _moment(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)


@contextlib.contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr for many files, where a person looks; else nothing."""
    if count < _BAR_FROM or not terminal.can_progress():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=2 * count)
        yield lambda: bar.advance(task)
