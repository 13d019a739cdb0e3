"""`tally report` as its readers meet it: on a screen, on paper, in a shell.

If these fail, the page that was shown to a court is wrong, breaks, or cannot be repeated.
"""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest

from tallystick import cbor, embedded, policy, proof, verify
from tallystick.body import Channel
from tallystick.proof import Proof
from tallystick_host import report
from tests.browser import DESKTOP, PHONE, Browser, Screen
from tests.cold_room import ColdRoom
from tests.host_tools.conftest import Tally
from tests.host_tools.page.test_page import PAGE, give, verdicts
from tests.world import START, SimKey, World

SMALL = Screen(PHONE.width, PHONE.height, touch=True)
NAME = "cold room 41"


@pytest.fixture(scope="module")
def room() -> ColdRoom:
    return ColdRoom()


def rendered(data: bytes, policy_text: str, name: str = NAME, file: str = "r.html") -> str:
    """The report on a proof, as the command makes it."""
    trusted = policy.parse(policy_text.encode())
    parsed: Proof = proof.parse(data)
    verdict = verify.verify(data, trusted)
    return report.render(
        report.Given(data, parsed, verdict, trusted, "r.tally", name, file, 1_800_100_000, "0.1.0")
    )


def by_hand(page: str) -> str:
    """The commands that a report tells its reader to run."""
    found = re.search(r'<pre id="by-hand">(.*?)</pre>', page, re.S)
    assert found
    return html.unescape(found[1])


def run_by_hand(page: str, folder: Path) -> tuple[list[str], list[str]]:
    """(what the commands must print, what they print), run in `folder` beside the report."""
    (folder / "r.html").write_text(page)
    commands = by_hand(page)
    (folder / "commands").write_text(commands)
    done = subprocess.run(
        ["bash", "commands"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    expected = [line[5:] for line in commands.splitlines() if line.startswith("# -> ")]
    printed = [
        line.removesuffix("  proof.tally").removesuffix("  -") for line in done.stdout.splitlines()
    ]
    return expected, printed


@pytest.mark.parametrize("sample", ["proof", "bounded", "pending", "shared"])
def test_the_commands_print_what_they_promise(room: ColdRoom, tmp_path: Path, sample: str) -> None:
    """A reader who repeats the check would find the report wrong."""
    expected, printed = run_by_hand(rendered(getattr(room, sample)(), room.policy), tmp_path)
    assert expected == printed
    signatures = 2 if sample == "pending" else 3
    assert signatures == expected.count("Signature Verified Successfully")


def test_the_commands_work_for_a_key_in_a_sim(tmp_path: Path) -> None:
    """P-256 signatures have another form in openssl than in a record."""
    world = World(SimKey("sim"))
    world.device.open()
    reading = world.device.readings([215, 216])
    world.publish()
    expected, printed = run_by_hand(rendered(world.prove([reading]), world.policy_text()), tmp_path)
    assert expected == printed
    assert "Verified OK" in expected


def test_the_commands_find_what_was_changed(room: ColdRoom, tmp_path: Path) -> None:
    """The commands would print the same for a forged record."""
    page = rendered(room.bounded(), room.policy)
    data = embedded.proof_in(page.encode())
    raw = proof.parse(data).records[0].raw
    forged = data.replace(raw, raw[:-70] + bytes([raw[-70] ^ 1]) + raw[-69:], 1)
    assert forged != data
    changed = rendered(forged, room.policy).partition('<script type="application/')[2]
    page = page.partition('<script type="application/')[0] + '<script type="application/' + changed
    expected, printed = run_by_hand(page, tmp_path)
    assert expected != printed
    assert printed.count("Signature Verified Successfully") < 3


def test_a_report_is_verified_again(tally: Tally, room: ColdRoom) -> None:
    tally.write("policy.toml", room.policy)
    tally.write("day.tally", room.proof())
    made = tally("report", "day.tally", "--policy", "policy.toml")
    assert (0, "day.html\n", "day.tally: VERIFIED\n") == (made.status, made.out, made.err)
    again = tally("verify", "day.html", "--policy", "policy.toml")
    assert 0 == again.status
    assert again.out.startswith("day.html: VERIFIED: ")
    assert room.proof() == embedded.proof_in((tally.cwd / "day.html").read_bytes())
    # a report of a report is one of the proof inside
    twice = tally("report", "day.html", "-o", "again.html", "--policy", "policy.toml")
    assert 0 == twice.status
    assert room.proof() == embedded.proof_in((tally.cwd / "again.html").read_bytes())


@pytest.mark.parametrize(("sample", "status"), [("tampered", 1), ("pending", 3), ("forked", 4)])
def test_the_exit_status_is_that_of_the_verdict(
    tally: Tally, room: ColdRoom, sample: str, status: int
) -> None:
    tally.write("policy.toml", room.policy)
    tally.write("a.tally", getattr(room, sample)())
    assert status == tally("report", "a.tally", "--policy", "policy.toml").status
    assert status == tally("verify", "-q", "a.html", "--policy", "policy.toml").status


def test_wrong_use(tally: Tally, room: ColdRoom) -> None:
    tally.write("policy.toml", room.policy)
    tally.write("a.tally", room.bounded())
    tally.write("b.tally", b"nonsense")
    tally.write("c.html", b"<!doctype html><p>no proof")
    tally.write("a.html", b"mine")
    there = tally("report", "a.tally", "--policy", "policy.toml")
    assert (2, "") == (there.status, there.out)
    assert "error: 'a.html' exists already" in there.err
    assert "hint: --force replaces it" in there.err
    assert b"mine" == (tally.cwd / "a.html").read_bytes()
    assert 0 == tally("report", "a.tally", "--policy", "policy.toml", "--force").status
    unreadable = tally("report", "b.tally", "--policy", "policy.toml")
    assert 5 == unreadable.status
    assert "(proof.format)" in unreadable.err
    empty = tally("verify", "c.html", "--policy", "policy.toml")
    assert 5 == empty.status
    assert "report.proof" in empty.out
    assert 5 == tally("report", "nothing.tally", "--policy", "policy.toml").status


def test_two_proofs_in_one_report_are_refused(tally: Tally, room: ColdRoom) -> None:
    """A report could show one proof and have another checked."""
    tally.write("policy.toml", room.policy)
    page = rendered(room.bounded(), room.policy)
    second = rendered(room.pending(), room.policy)
    start = second.index('<script type="application/')
    tally.write("two.html", page + second[start:])
    assert 5 == tally("verify", "-q", "two.html", "--policy", "policy.toml").status


def evil_world() -> tuple[World, bytes]:
    """A board whose names are markup."""
    world = World()
    evil = Channel("<script>x=1</script>", "\"'><b>", 0)
    world.device.open(channels=(evil, Channel("</style>", "", 0)))
    reading = world.device.readings([1, 2])
    world.publish()
    return world, world.prove([reading])


def test_what_a_stranger_wrote_is_text(browser: Browser, tmp_path: Path) -> None:
    """A board's name could run as a program in whoever opens the report."""
    world, data = evil_world()
    file = tmp_path / "r.html"
    file.write_text(rendered(data, world.policy_text(), name="<img src=x onerror=x>"))
    page = browser.open(file)
    assert "<script>x=1</script> (\"'><b>)" in page.inner_text("main")
    assert "<img src=x onerror=x>" == page.inner_text("h1")
    assert 1 == page.locator("script").count()
    assert 0 == page.locator("main img, main b:not(.bounds b)").count()


def test_a_report_runs_nothing(browser: Browser, tmp_path: Path, room: ColdRoom) -> None:
    """A report that was tampered with could draw VERIFIED by a script."""
    file = tmp_path / "r.html"
    text = rendered(room.bounded(), room.policy)
    file.write_text(text.replace("</main>", "<script>document.title = 'ran'</script></main>"))
    page = browser.open(file, allow="Content Security Policy|Refused to")
    assert "ran" != page.title()


def test_the_page_checks_a_report(browser: Browser, room: ColdRoom) -> None:
    """verify.html and the command would disagree about one file."""
    page = browser.open(PAGE)
    reports = {
        f"{name}.html": rendered(getattr(room, name)(), room.policy).encode()
        for name in ("proof", "tampered", "pending")
    }
    give(page, {**reports, "no.html": b"<!doctype html><p>"}, room.policy)
    assert {
        "proof.html": "VERIFIED",
        "tampered.html": "TAMPERED",
        "pending.html": "PENDING",
        "no.html": "UNDECIDED",
    } == verdicts(page)


def of_a_large_log(room: ColdRoom) -> bytes:
    """A record with paths of twenty hashes, as logs of a million have them. They lead nowhere; their length counts."""
    parts = room.world.parts([one for one in room.device.records if one.seq > room.beacon.seq][:1])
    confirmed = room.world.ledger.confirmed(room.world.anchors[0])
    path = tuple(bytes([n]) * 32 for n in range(20))
    long = [confirmed.block.raw, confirmed.position, list(path), confirmed.milestone.block.raw]
    changes = {"inclusions": [(5, path)], "anchor": cbor.encode(long)}
    return proof.build(**{**parts, **changes})


@pytest.mark.parametrize("sample", ["proof", "bounded", "pending", "tampered", "large"])
def test_prints_on_two_pages(browser: Browser, tmp_path: Path, room: ColdRoom, sample: str) -> None:
    """A report that is handed over on paper would run over many sheets."""
    file = tmp_path / "r.html"
    data = of_a_large_log(room) if sample == "large" else getattr(room, sample)()
    file.write_text(rendered(data, room.policy))
    printed = browser.open(file).pdf(prefer_css_page_size=True, print_background=True)
    assert 2 == len(re.findall(rb"/Type\s*/Page\b", printed))


@pytest.mark.parametrize(
    ("name", "sample", "screen", "dark"),
    [
        ("report-desktop", "proof", DESKTOP, False),
        ("report-desktop-dark", "tampered", DESKTOP, True),
        ("report-phone", "bounded", SMALL, False),
        ("report-phone-dark", "proof", SMALL, True),
    ],
)
def test_looks(
    browser: Browser,
    tmp_path: Path,
    room: ColdRoom,
    name: str,
    sample: str,
    screen: Screen,
    dark: bool,
) -> None:
    """Nothing may stick out of the screen; the picture is for a person to look at."""
    file = tmp_path / "r.html"
    file.write_text(rendered(getattr(room, sample)(), room.policy))
    page = browser.open(file, screen=screen, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser.picture(page, name, whole=True)


def test_the_command_writes_the_page_of_the_docs(tally: Tally) -> None:
    """Who has installed the command and no source could not hand out the page."""
    made = tally("page")
    assert (0, "verify.html\n", "") == (made.status, made.out, made.err)
    assert PAGE.read_bytes() == (tally.cwd / "verify.html").read_bytes()
    assert 2 == tally("page").status
    assert 0 == tally("page", "--force").status


def odd_proofs() -> dict[str, tuple[World, bytes]]:
    """Proofs that lack what a drawing needs."""
    made: dict[str, tuple[World, bytes]] = {}
    world = World()
    world.device.open()
    beacon = world.device.beacon()
    nulls = world.device.readings([None, None])
    one = world.device.readings([5])
    many = [world.device.readings(list(range(60))) for _ in range(300)]
    world.publish()
    for name, records in (("beacon", [beacon]), ("nulls", [nulls]), ("one", [one]), ("many", many)):
        made[name] = world, world.prove(records)
    changes: dict[str, dict[str, object]] = {
        "no credential": {"credential": None},
        "no open": {"opens": []},
        "no inclusion": {"inclusions": []},
    }
    for name, change in changes.items():
        made[name] = world, world.prove([one], **change)
    unset = World()
    records = [unset.device.open(time=5), unset.device.readings([1, 2], time=65)]
    unset.publish(START)
    made["clock not set"] = unset, unset.prove(records)
    return made


def test_draws_what_there_is(browser: Browser, tmp_path: Path) -> None:
    """A proof without readings, times or an `open` would end in a traceback, or in an empty picture with a legend."""
    for name, (world, data) in odd_proofs().items():
        text = rendered(data, world.policy_text())
        (tmp_path / f"{name}.html").write_text(text)
        drawn = "What was measured" in text
        assert (name in ("one", "many", "no inclusion")) is drawn, name
        page = browser.open(tmp_path / f"{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        browser.close_pages()
