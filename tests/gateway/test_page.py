"""The page in a real Chromium: what an operator, a passer-by and a phone see of a gateway.

The pictures of the docs are made here (`TALLYSTICK_PICTURES=1`); the fixture `browser` fails a test
whose page asks for anything off this machine or logs an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tallystick import proof, topics
from tallystick_gateway.updates.folder import UpdateFolder
from tests.browser import DESKTOP, PHONE, Browser, Screen
from tests.gateway.boards import OPEN, Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway
from tests.gateway.site import NAMES, Site, play
from tests.gateway.test_updates import bring, made
from tests.parts import LOOPBACK, Broker

WALL = Screen(1280, 860)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with a day behind it; only the last two tests change it."""
    folder = tmp_path_factory.mktemp("page")
    with Broker(folder / "broker") as broker:
        ledger = LedgerDouble(broker.port)
        field = Field(broker.port)
        with Gateway(folder / "gw", broker.port, ledger.line) as gateway:
            made = Site.make(gateway, field)
            play(made, ledger)
            yield made
        field.close()
        ledger.close()


def address(site: Site, path: str = "/") -> str:
    """An address of the gateway under test."""
    return f"http://{LOOPBACK}:{site.gateway.http}{path}"


def device(site: Site, name: str) -> str:
    """The address of a device's page."""
    return address(site, f"/devices/{site.boards[name].id.hex()}")


def live(page: Page) -> Page:
    """The page, once it hears from the gateway."""
    expect(page.locator("#link")).to_have_text("live")
    return page


def test_the_wall(site: Site, browser: Browser) -> None:
    """Whoever passes by would not see that a key was cloned, or which board lost records."""
    page = live(browser.open(address(site), screen=WALL))
    expect(page.locator(".card")).to_have_count(len(NAMES) + 1)
    names = page.locator(".card .name").all_inner_texts()
    assert ["greenhouse", "cold-room-4"] == names[:2]  # trouble comes first
    badges = page.locator(".card .badge").all_inner_texts()
    assert ["▲ forked", "◐ 2 missing"] == [" ".join(text.split()) for text in badges[:2]]
    expect(page.locator(".card", has_text="spare-board")).to_contain_text("no record yet")
    expect(page.locator(".card", has_text="meter-17")).to_contain_text("19 pending")
    size = site.gateway.json("/healthz")["size"]
    expect(page.locator("#figures")).to_contain_text(
        f"{size}\nrecords in the log", use_inner_text=True
    )
    expect(page.locator("#anchors .tag.attached").first).to_be_visible()
    expect(page.locator("#growth svg.medium .line.anchored").first).to_be_visible()
    browser.picture(page, "gateway-overview", whole=True)
    page = live(browser.open(address(site), screen=WALL, dark=True))
    browser.picture(page, "gateway-overview-dark", whole=True)


def test_a_device_with_a_gap(site: Site, browser: Browser) -> None:
    """A plot that draws a line over missing records would tell a story nobody measured."""
    page = browser.open(device(site, "cold-room-4"), screen=WALL)
    plot = page.locator("svg.plot.wide")
    expect(plot.locator(".band.gap")).to_have_count(1)
    expect(plot.locator("text.lost")).to_have_text("2 records missing")
    expect(plot.locator(".band.pending")).to_have_count(1)
    expect(plot.locator("path.line.anchored")).to_have_count(2)  # before the gap and after it
    gap = plot.locator(".band.gap").bounding_box()
    assert gap is not None
    for line in plot.locator("path.line.anchored").all():
        box = line.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= gap["x"] + 2 or box["x"] >= gap["x"] + gap["width"] - 2
    browser.picture(page, "gateway-device-gap", whole=True)


def test_a_cloned_device(site: Site, browser: Browser) -> None:
    """The readings of a thief would look like all others."""
    page = browser.open(device(site, "greenhouse"), screen=WALL)
    seq = site.boards["greenhouse"].records[-5].seq
    expect(page.get_by_role("alert")).to_contain_text(f"forked from seq {seq} on")
    plot = page.locator("svg.plot.wide").first
    expect(plot.locator(".mark.fork")).to_have_count(1)
    expect(plot.locator("path.line.untrusted")).to_have_count(1)
    rows = page.locator("table.records tbody tr")
    expect(rows.nth(4).locator(".tag")).to_have_text("untrusted")  # the record that was doubled
    expect(rows.nth(5).locator(".tag")).to_have_text("pending")
    expect(page.locator("#evidence")).to_contain_text(f"another record has seq {seq}")
    browser.picture(page, "gateway-device-forked", whole=True)


def test_a_reboot_and_an_event(site: Site, browser: Browser) -> None:
    """Why a curve jumps would stay a riddle."""
    page = browser.open(device(site, "cold-room-3"))
    reboot = page.locator("svg.plot.wide").first.locator(".mark.reboot title")
    assert reboot.text_content() == "start 2, agent 0.1.0, seq 33"
    page = browser.open(device(site, "boiler"))
    event = page.locator("svg.plot.wide").first.locator(".mark.event title")
    assert event.text_content() == "sensor state changed, seq 33"


def test_windows_and_older_records(site: Site, browser: Browser) -> None:
    """Only the newest hours could be looked at."""
    page = browser.open(device(site, "boiler"))
    page.get_by_role("link", name="1h", exact=True).click()
    expect(page.locator("nav.spans [aria-current]")).to_have_text("1h")
    expect(page.locator(".mark.event")).to_have_count(0)
    page.get_by_role("link", name="older ›").click()
    first = page.locator("table.records tbody tr").first.locator("td").first
    expect(first).to_have_text(str(site.boards["boiler"].records[-1].seq - 16))


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone(site: Site, browser: Browser, dark: bool) -> None:
    """Something would be cut off, or have to be scrolled sideways, on a phone in the field."""
    pages = {
        "overview": address(site),
        "device": device(site, "cold-room-4"),
        "search": address(site, "/search?q=room"),
    }
    for name, url in pages.items():
        page = browser.open(url, screen=PHONE, dark=dark)
        wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, name
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == (sum(map(int, re.findall(r"\d+", shade))) < 200)
        if name != "search":
            browser.picture(page, f"gateway-{name}-phone{'-dark' if dark else ''}")


def test_search(site: Site, browser: Browser, tmp_path: Path) -> None:
    """A hash from somebody's report would lead nowhere."""
    board = site.boards["meter-17"]
    wanted = board.records[12]
    page = browser.open(address(site), screen=DESKTOP)

    def ask(text: str) -> None:
        page.get_by_role("searchbox").fill(text)
        page.get_by_role("button", name="Search").click()

    ask("room")
    expect(page.locator(".hits a:not(.button)")).to_have_text(["cold-room-3", "cold-room-4"])
    ask(board.id.hex()[:6])
    expect(page.locator(".hits a")).to_have_text(["meter-17"])
    ask(datetime.fromtimestamp(wanted.time + 60, UTC).strftime("%Y-%m-%dT%H:%MZ"))
    expect(page.locator(".hits li")).to_have_count(len(NAMES))
    expect(page.locator(".hits li", has_text=f"record {wanted.seq} of meter-17")).to_be_visible()
    ask(wanted.id.hex())
    expect(page.locator(".hits li")).to_have_text(re.compile(f"record {wanted.seq} of meter-17"))
    with page.expect_download() as started:
        page.get_by_role("link", name="Download the proof").click()
    held = tmp_path / "meter.tally"
    started.value.save_as(held)
    assert [wanted.id] == [one.id for one in proof.parse(held.read_bytes()).records]
    ask("no such thing")
    expect(page.locator("main")).to_contain_text("Nothing here has that name, id or hash")
    ask("<script>alert(1)</script>")
    expect(page.locator("h1")).to_contain_text("<script>alert(1)</script>")


def test_what_is_not_there(site: Site, browser: Browser) -> None:
    """A stale bookmark would show JSON to a person."""
    page = browser.open(address(site, f"/devices/{'0' * 16}"), allow="404")
    expect(page.locator("main")).to_contain_text("not known here")
    page.get_by_role("link", name="Back to the overview").click()
    expect(page.locator(".card").first).to_be_visible()


def test_live_without_reload(site: Site, browser: Browser) -> None:
    """A wall screen would show last night's state in the morning."""
    page = live(browser.open(address(site)))
    other = live(browser.open(device(site, "meter-17")))
    for one in (page, other):
        one.evaluate("window.sameDocument = true")
    board = site.boards["meter-17"]
    board.measure(1)
    site.field.send(board, board.records[-1:])
    head = str(board.records[-1].seq)
    expect(page.locator(".card", has_text="meter-17")).to_contain_text(f"seq {head}")
    expect(other.locator("table.records tbody tr").first).to_contain_text(head)
    assert [True, True] == [one.evaluate("window.sameDocument") for one in (page, other)]


def test_a_board_that_the_broker_has_lost(site: Site, browser: Browser) -> None:
    """The wall says of a silent board why it is silent, as far as anybody knows."""
    name = next(iter(NAMES))
    topic = topics.Device(site.boards[name].id).state
    site.field.client.publish(topic, b"lost", qos=1, retain=True)
    page = browser.open(device(site, name), screen=WALL)
    expect(page.locator("#says")).to_contain_text("lost")
    expect(page.locator("#says")).to_contain_text("no power, no coverage")
    page = browser.open(address(site), screen=WALL)
    expect(page.locator(".card", has_text=name).locator(".says")).to_have_text("lost")


def test_the_gateway_goes_away_and_comes_back(site: Site, browser: Browser) -> None:
    """The wall would go on showing a dead gateway as live."""
    page = live(browser.open(address(site), allow="Failed to load|ERR_|CONNECTION"))
    site.gateway.kill()
    expect(page.locator("#link")).to_have_text("looking for the gateway")
    expect(page.locator(".card").first).to_be_visible()  # what was known stays
    site.gateway.start()
    expect(page.locator("#link")).to_have_text("live")


def test_updates_and_who_runs_them(gateway: Gateway, field: Field, browser: Browser) -> None:
    """An operator would publish an update and not see which boards run it."""
    old, new, quiet = Board(), Board(), Board()
    updates = UpdateFolder(gateway.folder / "updates")
    first, second = made(7), made(1_795_242_134)
    bring(updates, first)
    bring(updates, second)
    gateway.enrol(old, new, quiet)
    gateway.start()
    field.send(old, old.fill(2))
    field.send(new, [new.sign(OPEN.replace(digest=second.manifest.digest)), new.read()])
    field.acked(old, 1)
    field.acked(new, 1)

    page = browser.open(f"http://{LOOPBACK}:{gateway.http}/", screen=WALL)

    rows = page.locator("#updates tbody tr")
    expect(rows).to_have_count(2)
    cells = [" ".join(text.split()) for text in rows.nth(0).locator("td").all_inner_texts()]
    digest = second.manifest.digest.hex()[:8]
    assert [second.manifest.version, "agent", "any board"] == cells[:3]
    assert ["1795242134", digest, "1 of 3"] == cells[4:]
    assert "0 of 3" == rows.nth(1).locator("td").last.inner_text()
    page = browser.open(f"http://{LOOPBACK}:{gateway.http}/devices/{new.id.hex()}", screen=WALL)
    expect(page.locator("#agent")).to_contain_text(f"{digest}, update 1795242134")
    page = browser.open(f"http://{LOOPBACK}:{gateway.http}/devices/{old.id.hex()}", screen=WALL)
    expect(page.locator("#agent")).to_contain_text(OPEN.version)
    expect(page.locator("#agent")).not_to_contain_text("update")
    page = browser.open(f"http://{LOOPBACK}:{gateway.http}/devices/{quiet.id.hex()}", screen=WALL)
    expect(page.locator("#agent")).to_have_count(0)
