"""`tally verify`, from the files to the exit status.

1. Each file is judged by itself, many at a time on all cores; one that cannot be read is named and the rest goes on.
2. What shows only across files (a fork, an end that is cut off) makes the files that it concerns be judged again.
3. Verdicts are printed in the order of the files. Until then they wait in a temporary file: a million of them are not
   kept in memory, nor are the proofs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tallystick.verdict import EXIT_STATUS, Status, worst
from tallystick_host import proof_files, terminal, trusted
from tallystick_host.judgement import Judged, Settings, judge
from tallystick_host.proof_files import ProofFile
from tallystick_host.verify_options import Options
from tallystick_host.words import plural

if TYPE_CHECKING:
    from tallystick.verification.tail import Head
    from tallystick_host.cross_check import Forks
    from tallystick_host.home import Home

__all__ = ["run"]

_SMALL_BYTES: Final = 400_000  # is judged before other processes have started
_STATUSES: Final = tuple(Status)


def run(options: Options, home: Home | None = None) -> int:
    """Verify what `options` names, print it, and give the exit status of the worst verdict."""
    settings = _settings(options, home)
    given = list(proof_files.find(options.paths))
    if len(given) == 1 and not options.head_paths and given[0].size() < _SMALL_BYTES:
        judged = judge(given[0], settings)
        if judged.text:
            terminal.data(judged.text)
        return judged.verdict.exit_status
    return _many(given, settings, options)


def _settings(options: Options, home: Home | None) -> Settings:
    path = options.policy_path
    if path is None:
        from tallystick_host import home as homes

        path = str((home or homes.Home(homes.folder())).policy_path)
    policy = trusted.read(path)
    names: dict[str, str] = {}
    if options.enrolment_path is not None:
        from pathlib import Path

        from tallystick_host.enrolment import Enrolment

        devices = Enrolment.load(Path(options.enrolment_path)).devices
        names = {one.did: one.name or "" for one in devices}
    lists = []
    for path in options.list_paths:
        from pathlib import Path

        from tallystick_host.status_book import read_list

        lists.append(read_list(Path(path))[1])
    nodes: tuple[str, ...] = ()
    if options.urls or options.url_paths:
        from tallystick_host import other_ledger

        nodes = other_ledger.nodes(options.urls, options.url_paths)
    form = "json" if options.as_json else "steps" if options.verbose else "lines"
    form = "quiet" if options.quiet else form
    now = int(time.time())
    return Settings(policy, form, os.urandom(16), now, names, tuple(lists), nodes)


def _many(given: Sequence[ProofFile], settings: Settings, options: Options) -> int:
    from array import array

    from tallystick_host import cores
    from tallystick_host.cross_check import CrossCheck
    from tallystick_host.progress import Progress
    from tallystick_host.reach import Reach
    from tallystick_host.spool import Spool

    jobs = options.jobs or _cores()
    sizes = [file.size() for file in given]
    cross, reach, spool = CrossCheck(), Reach(), Spool()
    statuses = array("B")
    heads = _heads(options, settings)
    with Progress("verifying", sum(sizes)) as bar:
        for number, judged in enumerate(cores.judged(given, sizes, settings, jobs, bar.advance)):
            statuses.append(_STATUSES.index(judged.verdict.status))
            spool.add(judged.text)
            if len(given) > 1:
                cross.see(number, judged.rows)
            reach.see(number, judged.verdict)
    forks = cross.forks(given)
    tails = reach.tails(heads)
    for number in sorted({*forks.holders, *tails}):
        again = _again(given[number], settings, forks, tails.get(number, ()))
        statuses[number] = _STATUSES.index(again.verdict.status)
        spool.replace(number, again.text)
    for text in spool.texts():
        if text:
            terminal.data(text)
    found = [_STATUSES[one] for one in sorted(set(statuses))]
    if settings.form in ("lines", "steps") and len(given) > 1:
        counts = [f"{statuses.count(_STATUSES.index(one))} {one}" for one in found]
        terminal.talk(f"{plural(len(given), 'file')}: {', '.join(counts)}")
        for line in reach.summary(settings.names):
            terminal.talk(line)
    return EXIT_STATUS[worst(found)]


def _again(file: ProofFile, settings: Settings, found: Forks, heads: Sequence[Head]) -> Judged:
    """The verdict on a file of which other files, or a known head, say more."""
    return judge(file, settings, heads=heads, forks=found.of(file))


def _heads(options: Options, settings: Settings) -> dict[bytes, list[Head]]:
    """The later records that the user knows of, by device id."""
    heads: dict[bytes, list[Head]] = {}
    for path in options.head_paths:
        from tallystick_host.reach import read_head

        device, head = read_head(path, settings.policy)
        heads.setdefault(device, []).append(head)
    return heads


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
