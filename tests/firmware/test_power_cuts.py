"""Power cuts at every operation of the simulated flash, and what the library's chain says of the boards that had them.

`on_board/power_cuts.py` lives the lives; here two gateways listen to each board. One heard all that was published
before the cut and after it: it finds every fork. The other heard before the cut only what it acknowledged: it finds
every record that the board had kept and lost.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tallystick import record
from tallystick.body import Event
from tallystick.chain import Chain, KeyPeriod, Result
from tallystick.errors import FormatError
from tallystick.keys import ED25519, PublicKey
from tests.firmware.bench import FIRMWARE
from tests.parts import ROOT

CUTS, FAULTS = "power_cuts.py", "faults.py"
# TALLY_EVERY_CUT=1: every operation in every test, an hour's work (`make cuts`)
EVERY = os.environ.get("TALLY_EVERY_CUT") == "1"
SEED = int(os.environ.get("TALLY_SEED", "20261121"))
LEAST_CUTS = 2000
TIME_LIMIT_S = 7200 if EVERY else 300
HEAP = "512m" if EVERY else "64m"  # all records, and every file that a fault has left open
DROPPED, PRUNED, ADOPTED = 1, 2, 3
# where a board may say that its storage lost records, and where it may go on behind a record of another branch
LOSES = {"lost_files", "damaged_file_system"}
ADOPTS = {"restored", "contradicted", "lost_store_and_files"}


@dataclass(frozen=True)
class Cut:
    """One cut, or two in a row, and the numbers of the records that were published."""

    seed: int
    scenario: str
    store: str  # late | eager: when non-volatile storage keeps what is set; fault, raised, loss: no power cut
    operation: int
    torn: str
    again: int  # operation of the start after it at which the power went again; 0 for never
    state: str
    born: bool
    upto: int  # acknowledged at the end
    before: list[int]
    after: list[int]

    def __str__(self) -> str:
        again = f", then at {self.again}" if self.again else ""
        torn = ", torn" if self.torn == "torn" else ""
        where = f"{self.scenario} ({self.store} non-volatile storage)"
        return f"seed {self.seed}, {where}, cut at operation {self.operation}{torn}{again}"


@dataclass
class Lives:
    """All that one run of `power_cuts.py` printed."""

    seed: int
    operations: dict[str, int] = field(default_factory=dict)
    prepared: dict[str, list[int]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    records: dict[int, record.Record] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)  # records that no gateway takes
    key: PublicKey | None = None


def on_simulated_flash(program: list[str], script: str, *arguments: str) -> Iterator[list[str]]:
    """The words of each line that a script of `on_board/` prints, which imports its neighbours."""
    place = ROOT / "tests" / "firmware" / "on_board" / script
    paths = f"{FIRMWARE}:{FIRMWARE / 'virtual' / 'modules'}"
    done = subprocess.run(
        [*program, "-X", f"heapsize={HEAP}", str(place), paths, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    assert 0 == done.returncode, done.stdout[-500:] + done.stderr
    return map(str.split, done.stdout.splitlines())


def stride(usual: int) -> int:
    """Every so many operations is cut."""
    return 1 if EVERY else usual


def listed(text: str) -> list[int]:
    return [] if text == "-" else [int(number) for number in text.split(",")]


def live(program: list[str], script: str, seed: int, stride: int, *arguments: str) -> Lives:
    """Run the board through its cuts or faults; every record is parsed, and its signature verified, once."""
    lives = Lives(seed)
    for words in on_simulated_flash(program, script, str(seed), str(stride), *arguments):
        match words:
            case ["key", public]:
                lives.key = PublicKey.from_bytes(bytes.fromhex(public), ED25519)
            case ["scenario", name, operations, numbers]:
                lives.operations[name] = int(operations)
                lives.prepared[name] = listed(numbers)
            case ["cut", name, store, n, torn, again, state, born, upto, before, after]:
                numbers_before, numbers_after = listed(before), listed(after)
                facts = (int(n), torn, int(again), state, born == "1", int(upto))
                lives.cuts.append(Cut(seed, name, store, *facts, numbers_before, numbers_after))
            case ["record", number, data]:
                try:
                    lives.records[int(number)] = record.parse(bytes.fromhex(data))
                except FormatError as error:
                    lives.refused[int(number)] = str(error)
            case _:
                raise AssertionError(f"the board said {words}")
    assert lives.key is not None
    for one in lives.records.values():
        one.signed.verify(lives.key)
    return lives


def hears(lives: Lives, numbers: Iterable[int]) -> tuple[Chain, list[str]]:
    """A gateway that hears these records, and what it has to say against them."""
    assert lives.key is not None
    chain = Chain(lives.key, periods=[KeyPeriod(0, lives.key)])
    complaints = []
    for number in numbers:
        if number in lives.refused:
            complaints.append(lives.refused[number])
            continue
        one = lives.records[number]
        found = chain.admit(one, verified=True)
        if found.result not in (Result.ADMITTED, Result.DUPLICATE):
            complaints.append(f"seq {one.seq} is {found.result}: {found.detail}")
    if chain.missing or chain.upto != (chain.top if chain.top >= 0 else None):
        complaints.append(f"missing {chain.missing} below {chain.top}")
    return chain, complaints


def says(lives: Lives, numbers: list[int], code: int) -> bool:
    """Whether one of these records is an event with this code."""
    bodies = [lives.records[number].body for number in numbers if number in lives.records]
    return any(isinstance(body, Event) and body.code == code for body in bodies)


def judge(lives: Lives, cut: Cut) -> list[str]:
    """Everything that is wrong with what a board did around one cut."""
    prepared = lives.prepared[cut.scenario]
    wrong = []
    if cut.state != "good":
        wrong.append(f"the board is {cut.state}")
    if not cut.born:
        wrong.append("the board could be given a second seq 0")
    chain, complaints = hears(lives, prepared + cut.before + cut.after)
    wrong += complaints
    seqs = {n: lives.records[n].seq for n in prepared + cut.before if n in lives.records}
    acknowledged = [number for number, seq in seqs.items() if seq <= cut.upto]
    _, complaints = hears(lives, acknowledged + cut.after)
    wrong += [f"not acknowledged, and gone: {complaint}" for complaint in complaints]
    published = {lives.records[number].seq for number in cut.after if number in lives.records}
    if chain.top not in published or len(published) < 4:
        wrong.append(f"after the cut it published {sorted(published)} of {chain.top}")
    if cut.scenario not in LOSES and says(lives, cut.before + cut.after, DROPPED):
        wrong.append("a record was lost that was kept before")
    if cut.scenario not in ADOPTS and says(lives, cut.before + cut.after, ADOPTED):
        wrong.append("the board left its own branch")
    return wrong


def judged(lives: Lives) -> list[str]:
    """One line for each cut around which something is wrong."""
    return [f"{cut}: {'; '.join(wrong)}" for cut in lives.cuts if (wrong := judge(lives, cut))]


def check(lives: Lives) -> None:
    found = judged(lives)
    assert not found, f"{len(found)} of {len(lives.cuts)}:\n" + "\n".join(found[:20])


def test_every_operation_cut(micropython64: list[str]) -> None:
    """A board in the field is switched off at any moment. It must come back with the chain that it had, and no
    gateway may ever see two records with one seq, or a hole that nobody explains."""
    lives = live(micropython64, CUTS, SEED, 1)
    print(f"{len(lives.cuts)} power cuts, {sum(cut.again > 0 for cut in lives.cuts)} of them twice")
    check(lives)
    assert len(lives.cuts) >= LEAST_CUTS
    for name, operations in lives.operations.items():
        once = {(c.operation, c.torn) for c in lives.cuts if c.scenario == name and not c.again}
        assert {(n + 1, torn) for n in range(operations) for torn in ("clean", "torn")} <= once


def test_words_of_32_bits(micropython32: list[str]) -> None:
    """The boards have 32-bit words: a sample of the cuts there, with other sizes of records."""
    lives = live(micropython32, CUTS, SEED + 1, stride(40))
    check(lives)
    assert len(lives.cuts) >= 50


def test_careless_board_is_found_out(micropython64: list[str]) -> None:
    """The test must see what it is there for: a board that publishes before it has kept a record forks its chain."""
    found = judged(live(micropython64, CUTS, SEED, stride(5), "careless"))
    assert [] != [line for line in found if " is fork" in line]


def test_faults_of_flash_and_store(micropython64: list[str]) -> None:
    """Flash that fails once, is full, read-only, or empty, and a head that is gone: the board reports it, lives on
    when it is over, and never signs a seq twice."""
    lives = live(micropython64, FAULTS, SEED, stride(13))
    check(lives)
    singles = {cut.scenario for cut in lives.cuts if cut.operation == 0}
    assert 12 == len(singles)
    raised = [cut for cut in lives.cuts if cut.store == "raised"]
    assert len(raised) > 150


def test_lost_files_are_named(micropython64: list[str]) -> None:
    """A board whose files are gone says which records it had signed and cannot show any more: exactly these."""
    lives = live(micropython64, CUTS, SEED, stride(50))
    (known,) = [numbers for name, numbers in lives.prepared.items() if name == "lost_files"]
    lost = {lives.records[number].seq for number in known}
    for cut in lives.cuts:
        if cut.scenario == "lost_files":
            bodies = [lives.records[number].body for number in cut.before + cut.after]
            named = {tuple(b.args) for b in bodies if isinstance(b, Event) and b.code == DROPPED}
            assert named, str(cut)
            for first, last in named:
                assert max(lost) == last, str(cut)
                assert first in lost, str(cut)
