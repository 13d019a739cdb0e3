"""The page in a real browser: what a person drops on it and reads on it.

If these fail, the page shows a wrong verdict, calls somewhere, or shows nothing at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import DESKTOP, PHONE, Browser, Screen
from tests.cold_room import ColdRoom
from tests.host_tools.page.questions import Question
from tests.host_tools.page.test_verdicts import ASKED, cheats, refused, wrong
from tests.parts import ROOT
from tests.world import with_forged_record
from tools import page as page_tool

PAGE = ROOT / "docs" / "verify.html"
SMALL = Screen(PHONE.width, PHONE.height, touch=True)  # a phone, in pictures of half the size


@pytest.fixture(scope="module")
def room() -> ColdRoom:
    return ColdRoom()


def give(page: Page, proofs: dict[str, bytes], policy: str | bytes | None) -> None:
    """Choose the files as a person does, and wait for the verdicts."""
    page.wait_for_selector("body[data-ready=yes]")
    if policy is not None:
        text = policy.encode() if isinstance(policy, str) else policy
        page.eval_on_selector("#policy-state", "state => state.removeAttribute('data-code')")
        page.set_input_files("#policy", {"name": "policy.toml", "mimeType": "", "buffer": text})
        page.wait_for_selector("#policy-state[data-code]")
    files: Any = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        for name, data in proofs.items()
    ]
    if files:
        page.set_input_files("#proofs", files)
        page.wait_for_selector("#results[data-done=yes]")


def verdicts(page: Page) -> dict[str, str]:
    """File name to verdict, as they stand on the page."""
    found: dict[str, str] = page.eval_on_selector_all(
        "article.verdict",
        "all => Object.fromEntries(all.map(one => [one.dataset.file, one.dataset.status]))",
    )
    return found


def test_the_page_is_up_to_date() -> None:
    """People would open a page that is not the code that was tested."""
    assert 0 == page_tool.main(["--check"])


def test_a_stale_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above would pass whatever the page is."""
    monkeypatch.setattr(page_tool, "FILE", tmp_path / "verify.html")
    assert 1 == page_tool.main(["--check"])
    assert 0 == page_tool.main([])
    page_tool.FILE.write_text(page_tool.FILE.read_text().replace("function", "Function", 1))
    assert 1 == page_tool.main(["--check"])


def test_the_page_can_reach_nothing(browser: Browser) -> None:
    """A proof that somebody checks in confidence could leave the computer."""
    page = browser.open(PAGE, allow="Content Security Policy|Refused to|violates")
    page.wait_for_selector("body[data-ready=yes]")
    away = "http://127.0.0.1:9/"
    for attempt in (
        f"fetch('{away}').then(() => 'sent', () => 'stopped')",
        f"""new Promise(done => {{
            const image = new Image();
            [image.onload, image.onerror] = [() => done('sent'), () => done('stopped')];
            image.src = '{away}';
        }})""",
        """(() => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = 1';
            document.head.append(script);
            return window.ran ? 'ran' : 'stopped';
        })()""",
    ):
        assert "stopped" == page.evaluate(attempt)


def test_shows_every_verdict(browser: Browser, room: ColdRoom) -> None:
    page = browser.open(PAGE)
    stranger = ColdRoom().world.policy_text(issuer=False)
    proofs = {
        "day.tally": room.proof(),
        "bounded.tally": room.bounded(),
        "pending.tally": room.pending(),
        "tampered.tally": room.tampered(),
        "cut.tally": room.proof()[:-1],
        "empty.tally": b"",
        "text.tally": b"hello",
    }
    give(page, proofs, room.policy)
    assert {
        "day.tally": "VERIFIED",
        "bounded.tally": "VERIFIED",
        "pending.tally": "PENDING",
        "tampered.tally": "TAMPERED",
        "cut.tally": "UNDECIDED",
        "empty.tally": "UNDECIDED",
        "text.tally": "UNDECIDED",
    } == verdicts(page)
    # what is dropped later takes the place of what was there
    give(page, {"forked.tally": room.forked()}, None)
    assert {"forked.tally": "UNTRUSTED"} == verdicts(page)
    give(page, {"day.tally": room.proof()}, stranger)
    assert {"day.tally": "UNTRUSTED"} == verdicts(page)


def test_without_a_policy_nobody_is_trusted(browser: Browser, room: ColdRoom) -> None:
    page = browser.open(PAGE)
    give(page, {"day.tally": room.proof()}, None)
    assert {"day.tally": "UNTRUSTED"} == verdicts(page)
    give(page, {}, b"version = 1\nissuer = 3\n")
    page.wait_for_selector("#policy-state[data-code='policy.unknown']")
    give(page, {}, room.policy)
    page.wait_for_selector("article[data-status=VERIFIED]")


def test_hides_values_that_are_not_verified(browser: Browser, room: ColdRoom) -> None:
    """A number out of a forged file would look like a measurement."""
    page = browser.open(PAGE)
    give(page, {"day.tally": with_forged_record(room.bounded())}, room.policy)
    page.locator("details.readings summary").click()
    assert 0 == page.locator("details.readings td").count()
    page.get_by_role("button", name="Show the values all the same").click()
    assert page.locator("details.readings td").count() > 36
    give(page, {"day.tally": room.bounded()}, None)


def test_what_a_stranger_wrote_is_text(browser: Browser) -> None:
    """A name in a file could run as a program on the page."""
    from tallystick.body import Channel
    from tests.world import World

    world = World()
    evil = Channel("<img src=x onerror=1>", "</script><b>", 0)
    world.device.open(channels=(evil, Channel("b", "", 0)))
    reading = world.device.readings([1])
    world.publish()
    page = browser.open(PAGE)
    give(page, {"<i>a</i>.tally": world.prove([reading])}, world.policy_text())
    assert {"<i>a</i>.tally": "VERIFIED"} == verdicts(page)
    assert 0 == page.locator("article img, article b, article i").count()
    assert "<img src=x onerror=1> (</script><b>)" in page.content().replace("&lt;", "<").replace(
        "&gt;", ">"
    )


def test_dropped_files_count_as_chosen_ones(browser: Browser, room: ColdRoom) -> None:
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    drop = """([proof, policy]) => {
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(proof)], 'day.tally'));
        files.items.add(new File([policy], 'policy.toml'));
        document.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true }));
    }"""
    page.evaluate(drop, [list(room.bounded()), room.policy])
    page.wait_for_selector("article[data-status=VERIFIED]")


def test_refuses_what_the_library_refuses(browser: Browser) -> None:
    """The same bytes in the browser's own cryptography."""
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    ask = """async cases => {
        const codes = {};
        for (const { name, object, bytes } of cases) {
            const raw = Uint8Array.from(bytes.match(/../g) ?? [], pair => parseInt(pair, 16));
            try { await tallystick.parsers[object](raw); codes[name] = null; }
            catch (error) { codes[name] = error.code ?? String(error); }
        }
        return codes;
    }"""
    assert {case["name"]: case["code"] for case in refused()} == page.evaluate(ask, refused())


def test_catches_every_cheat_of_the_corpus(browser: Browser) -> None:
    """Chromium's cryptography on every way to cheat."""
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    ask = """async cases => {
        const table = value => Array.isArray(value) ? value.map(table)
            : typeof value !== 'object' || value === null ? value
            : Object.assign(Object.create(null), Object.fromEntries(
                Object.entries(value).map(([name, one]) => [name, table(one)])));
        const out = [];
        for (const { bytes, policy, now, heads } of cases) {
            const raw = Uint8Array.from(bytes.match(/../g) ?? [], pair => parseInt(pair, 16));
            const trusted = await tallystick.policyOf(table(policy));
            const verdict = await tallystick.verifyProof(raw, trusted, { now, heads });
            const checks = verdict.checks.map(one => [one.code, one.result]);
            out.push([verdict.status, checks, verdict.checks[0].detail]);
        }
        return out;
    }"""
    cases = cheats()
    said = page.evaluate(ask, cases)
    assert [] == [
        (case["name"], answer)
        for case, answer in zip(cases, said, strict=True)
        if wrong(case, *answer)
    ]


def test_gives_every_verdict_that_the_library_gives(
    browser: Browser, recorded: list[Question]
) -> None:
    """Chromium's cryptography against Python's, on a part of the library's own questions."""
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    ask = """async questions => {
        const out = [];
        const bytes = text => new TextEncoder().encode(text);
        for (const { proof, policy, now, heads, lists: texts } of questions) {
            const raw = Uint8Array.from(proof.match(/../g) ?? [], pair => parseInt(pair, 16));
            const trusted = await tallystick.parsePolicy(bytes(policy));
            const lists = (texts ?? []).map(text => tallystick.parseJson(bytes(text)));
            const verdict = await tallystick.verifyProof(raw, trusted, { now, heads, lists });
            out.push([verdict.status, verdict.checks.map(one => [one.code, one.result])]);
        }
        return out;
    }"""
    some = [one for at, one in enumerate(recorded) if at % 5 == 0 or "lists" in one]
    said = page.evaluate(ask, [{name: one.get(name) for name in ASKED} for one in some])
    assert [[one["said"]["status"], one["said"]["checks"]] for one in some] == said
    assert len(some) > 200


@pytest.mark.parametrize(
    ("name", "screen", "dark"),
    [
        ("verify-desktop", DESKTOP, False),
        ("verify-desktop-dark", DESKTOP, True),
        ("verify-phone", SMALL, False),
        ("verify-phone-dark", SMALL, True),
    ],
)
def test_looks(browser: Browser, room: ColdRoom, name: str, screen: Screen, dark: bool) -> None:
    """Nothing may stick out of the screen; the picture is for a person to look at."""
    page = browser.open(PAGE, screen=screen, dark=dark)
    data = room.tampered() if dark else room.bounded()
    give(page, {"cold-room-41.tally": data}, room.policy)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser.picture(page, name, whole=True)
