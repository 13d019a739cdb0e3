"""One reading's whole way, and what gets caught on it. Run by `make demo`.

Three virtual boards sign what they measure, a gateway logs and anchors it over MQTT, and with
every process stopped a laptop verifies. Then four cheats are tried. All files stay in build/demo.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo import forge
from tallystick import policy, proof, verify
from tallystick.errors import TallystickError
from tallystick.verdict import EXIT_STATUS, Status, Verdict
from tools.parts import ROOT
from tools.site import Site, SiteError, command, wait_for

FOLDER = ROOT / "build" / "demo"
ONE_BY_ONE, BATCHED, CLONED = "cold-room", "harbour-meter", "stolen-twin"
INTERVAL_MS = 500
BATCH = 8
TWO_BOARDS_S = 6  # that board and clone go on side by side
RECORDS = 5  # that the gateway holds of each board before the demo goes on

out = Console(highlight=False, emoji=False)


@dataclass(frozen=True)
class Case:
    """A file to verify, what was done to it, and the verdict that it must get."""

    title: str
    file: Path
    expected: Status
    home: Path


@contextmanager
def stage(text: str) -> Iterator[None]:
    """A line for a stage, with its time when it has ended; a spinner where a person looks on."""
    started = time.monotonic()
    if out.is_terminal:
        with out.status(text):
            yield
    else:
        yield
    out.print(
        f"  [green]✓[/green] {text} [dim]{time.monotonic() - started:.1f} s[/dim]", soft_wrap=True
    )


def main() -> int:
    """0 if every verdict was the expected one, 1 if not, 130 on Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    started = time.monotonic()
    out.print("[bold]Tallystick[/bold]: a reading that can prove where it came from\n")
    try:
        with Site(FOLDER) as site:
            ids = set_up(site)
            cases = run(site, ids)
        good = judge(cases)
    except KeyboardInterrupt:
        out.print("\nstopped; nothing is left running")
        return 130
    except (SiteError, TallystickError) as error:
        out.print(f"[red]error:[/red] {error}", soft_wrap=True)
        out.print(f"hint: the logs of all processes are in {FOLDER.relative_to(ROOT)}")
        return 1
    shown = FOLDER.relative_to(ROOT)
    out.print(f"\n{time.monotonic() - started:.0f} s. Everything is in {shown}; look yourself:")
    for words in (
        f"verify --policy {shown}/laptop/policy.toml {shown}/one.tally",
        f"inspect {shown}/batch.tally",
    ):
        out.print(f"  .venv/bin/tally {words}", soft_wrap=True)
    return 0 if good else 1


def set_up(site: Site) -> dict[str, str]:
    """Keys, trust, services and three enrolled boards; gives the boards' ids by name."""
    with stage("owner, issuer, ledger and gateway make their keys; the laptop trusts them by name"):
        site.make_keys()
    with stage("ledger and gateway run (real processes, a real mosquitto between them)"):
        site.start_services()
    ids: dict[str, str] = {}
    for name, bits, batch in ((ONE_BY_ONE, 32, 1), (BATCHED, 64, BATCH), (CLONED, 64, 1)):
        chip = "32-bit, 111 KiB heap: an ESP32's" if bits == 32 else "64-bit"
        with stage(f"board {name} ({chip}) makes its key and is enrolled"):
            ids[name] = site.enrol(name, bits=bits, interval_ms=INTERVAL_MS, batch=batch)
            site.start_board(name)
    return ids


def run(site: Site, ids: dict[str, str]) -> list[Case]:
    """Readings come in, are anchored and proven; gives the cases to judge."""
    for name in (ONE_BY_ONE, BATCHED, CLONED):
        with stage(f"{name}: readings signed, logged, acknowledged, anchored in the ledger"):
            wait_for(f"readings of {name}", partial(anchored, site, ids[name]), 40)
    one, batch, half = FOLDER / "one.tally", FOLDER / "batch.tally", FOLDER / "range.tally"
    with stage("proof files are fetched from the gateway"):
        last = newest_anchored(site, ids[ONE_BY_ONE])
        fetch(site, ids[ONE_BY_ONE], str(last), one)
        fetch(site, ids[BATCHED], str(newest_anchored(site, ids[BATCHED])), batch)
        fetch(site, ids[ONE_BY_ONE], f"{last - 3}..{last}", half)
    with stage("the gateway is killed; meanwhile a thief copies the third board, and both run on"):
        twin = clone(site)
    forked = FOLDER / "cloned.tally"
    with stage("the gateway is back: two boards, one key, and it keeps both records of the fork"):
        site.programs["gateway"].start()
        wait_for("the fork", lambda: bool(site.device(ids[CLONED]).get("forks")), 40)
        seq = int(site.device(ids[CLONED])["forks"][0]["seq"])
        wait_for("its anchor", lambda: newest_anchored(site, ids[CLONED]) >= seq, 40)
        fetch(site, ids[CLONED], str(seq), forked)
    with stage(f"everything is stopped: boards, {twin.name}, gateway, ledger, broker"):
        site.stop()
    stranger = FOLDER / "stranger"
    command("tally", "init", home=stranger)
    flipped, thinned = FOLDER / "flipped.tally", FOLDER / "left-out.tally"
    flipped.write_bytes(forge.rebuilt(proof.parse(one.read_bytes()), flip=True))
    thinned.write_bytes(forge.rebuilt(proof.parse(half.read_bytes()), without=last - 1))
    return [
        Case("one reading, as it came", one, Status.VERIFIED, site.home),
        Case(f"a record of {BATCH} readings", batch, Status.VERIFIED, site.home),
        Case("four records in a row", half, Status.VERIFIED, site.home),
        Case("one bit of a reading flipped", flipped, Status.TAMPERED, site.home),
        Case("a record left out", thinned, Status.UNDECIDED, site.home),
        Case("a cloned board: two records, one number", forked, Status.UNTRUSTED, site.home),
        Case("somebody else's policy", one, Status.UNTRUSTED, stranger),
    ]


def newest_anchored(site: Site, device_id: str) -> int:
    """The newest readings record of the device that an anchor covers; -1 while there is none."""
    site.check_alive()
    newest = site.device(device_id).get("anchored")
    return -1 if newest is None else int(newest)


def anchored(site: Site, device_id: str) -> bool:
    """Does an anchor cover enough records of the device?"""
    return newest_anchored(site, device_id) >= RECORDS


def fetch(site: Site, device_id: str, what: str, file: Path) -> None:
    """`tally prove`, as an engineer would."""
    words = ["--gateway", site.gateway_url, "-o", str(file)]
    command("tally", "prove", device_id, what, "--not-before", *words, home=site.home)


def clone(site: Site) -> Path:
    """Copy a board's flash, as a thief with a reader would, and let both boards sign.

    Nobody acknowledges while the gateway is away, so neither board can know of the other.
    """
    site.programs["gateway"].kill()
    site.programs[CLONED].kill()
    original, twin = FOLDER / CLONED, FOLDER / f"{CLONED}-2"
    shutil.copytree(original, twin)
    site.programs[CLONED].start()
    site.start_board(twin.name)
    time.sleep(TWO_BOARDS_S)
    return twin


def judge(cases: list[Case]) -> bool:
    """Verify each file by the command, offline, and show what came out."""
    table = Table(title="\nVerified with every process stopped", title_justify="left")
    for column in ("file", "what happened to it", "verdict", "because"):
        table.add_column(column, overflow="fold")
    good = True
    for case in cases:
        wanted = EXIT_STATUS[case.expected]
        words = ("--policy", case.home / "policy.toml", "-q", case.file)
        command("tally", "verify", *words, ok=(wanted,), home=case.home)
        verdict = verify.verify(
            case.file.read_bytes(), policy.parse((case.home / "policy.toml").read_bytes())
        )
        right = verdict.exit_status == wanted
        good = good and right
        colour = "green" if right else "red"
        because = next((c for c in verdict.checks if c.result in ("failed", "undecided")), None)
        because = because or next((c for c in verdict.checks if c.result == "untrusted"), None)
        table.add_row(
            case.file.name,
            case.title,
            f"[{colour}]{verdict.status}[/{colour}]",
            f"{because.code}: {because.detail}" if because else window(verdict),
        )
    out.print(table)
    return good


def window(verdict: Verdict) -> str:
    """The proven time bounds in words."""
    after = time.strftime("%H:%M:%S", time.gmtime(verdict.not_after or 0))
    if verdict.not_before is None:
        return f"unchanged; existed by {after} UTC"
    before = time.strftime("%H:%M:%S", time.gmtime(verdict.not_before))
    return f"unchanged; signed between {before} and {after} UTC"


if __name__ == "__main__":
    sys.exit(main())
