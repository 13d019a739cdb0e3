"""A board's hard week, in an hour or in four minutes: `make soak`, or `python -m tools.soak`.

Virtual boards measure while a scripted, seeded world treats them badly: the broker goes away and
comes back empty, the gateway is killed, Wi-Fi flaps, clocks jump, boards lose power, and one
board's flash is too small for the time that nobody listens. At the end the world is left in peace,
and every number that a board ever signed must either verify or be named in an event of the board.

    python -m tools.soak --seconds 3600 --seed 7 --keep build/soak
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tallystick import policy, proof, verify
from tallystick.body import Readings
from tallystick.verdict import Check, Outcome
from tools.site import Site, SiteError, command, wait_for

WEEK_S = 7 * 86_400
MINUTES_OF_THE_WEEK = 5  # a reading every five minutes: 2,016 in the week
SHORTEST_INTERVAL_MS = 500
TROUBLE_EVERY_S = (2.0, 9.0)
TROUBLE_LASTS_S = (0.5, 8.0)
SETTLE_S = 120.0
PROOF_RECORDS = 500  # in one file
SMALL_JOURNAL_KIB = 64
CLOCK_JUMPS_S = (-86_400, -3_600, 90, 7_200, 30 * 86_400)
# two checks need statements and status lists, and there are none; what is not anchored yet is not the board's
FORGIVEN = {
    *("credential.status", "device.status"),
    *("ledger.inclusion", "ledger.milestone", "time.window", "record.open"),
}


@dataclass
class Outcomes:
    """What the week came to. `bad`: what should not have happened, in words; empty is good."""

    troubles: Counter[str] = field(default_factory=Counter)
    records: int = 0
    readings: int = 0
    explained: int = 0  # numbers that are gone and that an event names
    bad: list[str] = field(default_factory=list)


class World:
    """What happens to the site. Each trouble is started and ended by one of the methods below."""

    def __init__(self, site: Site, boards: list[str], draw: random.Random) -> None:
        self._site, self._boards, self._draw = site, boards, draw

    def trouble(self) -> tuple[str, Callable[[], None]]:
        """Start a trouble; gives its name and how it ends."""
        kinds = [self.broker, self.gateway, self.ledger, self.wifi, self.clock, self.power]
        return self._draw.choice(kinds)()

    def broker(self) -> tuple[str, Callable[[], None]]:
        """The broker loses power, and with it all that it did not write down."""
        self._site.broker.kill()
        return "broker away", self._site.broker.start

    def gateway(self) -> tuple[str, Callable[[], None]]:
        """The gateway loses power."""
        self._site.programs["gateway"].kill()
        return "gateway killed", self._site.programs["gateway"].start

    def ledger(self) -> tuple[str, Callable[[], None]]:
        """The ledger loses power."""
        self._site.programs["ledger"].kill()
        return "ledger killed", self._site.programs["ledger"].start

    def wifi(self) -> tuple[str, Callable[[], None]]:
        """One board hears no access point."""
        return self._world("radio off", {"radio": "off"})

    def clock(self) -> tuple[str, Callable[[], None]]:
        """One board's clock jumps, and jumps back later."""
        return self._world("clock jumped", {"clock_jump_s": self._draw.choice(CLOCK_JUMPS_S)})

    def power(self) -> tuple[str, Callable[[], None]]:
        """One board loses power."""
        name = self._draw.choice(self._boards)
        self._site.programs[name].kill()
        return "board without power", self._site.programs[name].start

    def _world(self, what: str, facts: dict[str, object]) -> tuple[str, Callable[[], None]]:
        path = self._site.folder / self._draw.choice(self._boards) / "world.json"

        def write(value: dict[str, object]) -> None:
            beside = path.with_suffix(".new")
            beside.write_text(json.dumps(value))
            beside.replace(path)

        write(facts)
        return what, lambda: write({})


def soak(folder: Path, seconds: float, seed: int, say: Callable[[str], None]) -> Outcomes:
    """Run the week in `seconds` and look at what is left of it."""
    out = Outcomes()
    draw = random.Random(seed)
    scaled = int(1000 * MINUTES_OF_THE_WEEK * 60 * seconds / WEEK_S)
    interval_ms = max(SHORTEST_INTERVAL_MS, scaled)
    with Site(folder) as site:
        site.make_keys()
        site.start_services()
        boards = {"greenhouse": (32, 1), "substation": (64, 6), "reefer": (64, 1)}
        ids = {}
        for name, (bits, batch) in boards.items():
            ids[name] = site.enrol(name, bits=bits, interval_ms=interval_ms, batch=batch)
        shrink(site.folder / "reefer")
        for name in boards:
            site.start_board(name)
        world = World(site, list(boards), draw)
        ends = time.monotonic() + seconds
        wait_for("all boards are heard", lambda: all(heard(site, one) for one in ids.values()), 60)
        while time.monotonic() < ends:
            time.sleep(draw.uniform(*TROUBLE_EVERY_S))
            name, end = world.trouble()
            out.troubles[name] += 1
            time.sleep(draw.uniform(*TROUBLE_LASTS_S))
            end()
            left = max(0, int(ends - time.monotonic()))
            say(f"{sum(out.troubles.values())} troubles, {left} s to go: {name}")
        settle(site, ids, out)
        for name in boards:
            site.programs[name].stop()
        time.sleep(3)  # the last records are checkpointed and anchored
        for name, device in ids.items():
            judge(site, name, device, out)
    return out


def shrink(board: Path) -> None:
    """Give a board a journal that is too small for the time that nobody listens."""
    path = board / "flash" / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "journal_kib": SMALL_JOURNAL_KIB}))


def heard(site: Site, device: str) -> bool:
    """Has the gateway anything of the device?"""
    return site.device(device).get("upto") is not None


def settle(site: Site, ids: dict[str, str], out: Outcomes) -> None:
    """In peace, every board's acknowledgements must catch up and move on."""
    before = {device: site.device(device).get("upto") or 0 for device in ids.values()}

    def moved_on(device: str) -> bool:
        state = site.device(device)
        upto = state.get("upto") or 0
        return upto >= before[device] + 3 and not state.get("missing")

    for name, device in ids.items():
        try:
            wait_for(f"{name} goes on", partial(moved_on, device), SETTLE_S)
        except SiteError as error:
            out.bad.append(f"{error}: {site.device(device)}")
    try:
        site.check_alive()
    except SiteError as error:
        out.bad.append(str(error))


def judge(site: Site, name: str, device: str, out: Outcomes) -> None:
    """Verify all that the gateway has of the device, from seq 0 to its head, piece by piece."""
    trusted = policy.parse(site.policy.read_bytes())
    state = site.device(device)
    if state.get("forks"):
        out.bad.append(f"{name}: forks {state['forks']}")
    last = state["upto"]
    for first in range(0, last + 1, PROOF_RECORDS):
        until = min(last, first + PROOF_RECORDS)
        file = site.folder / f"{name}-{first}.tally"
        words = ("--gateway", site.gateway_url, "-o", file, "--force")
        command("tally", "prove", device, f"{first}..{until}", *words, home=site.home)
        parsed = proof.parse(file.read_bytes())
        verdict = verify.verify(parsed, trusted)
        bad = [c for c in verdict.checks if c.result is not Outcome.OK and not forgiven(c)]
        out.bad += [f"{name} {first}..{until}: {c.code} {c.result}: {c.detail}" for c in bad]
        out.records += len(parsed.records)
        for one in parsed.records:
            out.readings += one.body.count if isinstance(one.body, Readings) else 0
            gone = one.gives_up()
            out.explained += len(gone) if gone is not None else 0


def forgiven(check: Check) -> bool:
    """Is this check's outcome not the board's to answer for?"""
    return check.code in FORGIVEN and check.result in (Outcome.SKIPPED, Outcome.PENDING)


def main() -> int:
    """0 if every number is verified or named in an event."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long the week takes")
    parser.add_argument("--seed", type=int, default=20261121, help="of the troubles")
    parser.add_argument("--keep", type=Path, help="folder that stays; a temporary one if not given")
    arguments = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.keep or Path(temporary) / "soak"
            out = soak(folder, arguments.seconds, arguments.seed, say)
    except KeyboardInterrupt:
        return 130
    troubles = ", ".join(f"{count} x {name}" for name, count in sorted(out.troubles.items()))
    print(f"seed {arguments.seed}: {troubles}")
    print(f"{out.records} records, {out.readings} readings; {out.explained} numbers named as gone")
    for line in out.bad:
        print(f"BAD {line}")
    print("every reading is verified or named" if not out.bad else "the week was lost")
    return 1 if out.bad else 0


if __name__ == "__main__":
    sys.exit(main())
