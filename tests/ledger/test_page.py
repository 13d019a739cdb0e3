"""The page that shows the DAG, in a real Chromium: what an operator sees is what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tallystick import milestone
from tallystick.receipt import State
from tallystick.statement import StatementKind
from tallystick_ledger.folder import Folder
from tests.browser import DESKTOP, PHONE, Browser, Screen
from tests.ledger.site import Following, Ledger, Submitter, anchor, gateway_key, said, until
from tests.parts import Broker


@dataclass
class Site:
    """A ledger with some history, and somebody at its broker."""

    ledger: Ledger
    one: Submitter
    names: list[bytes]

    def grow(self, size: int) -> bytes:
        """One more anchor, confirmed."""
        name = self.one.submit(anchor(self.one.parents(), size, gateway_key(1 + size % 3)))
        self.one.answer(name, State.CONFIRMED)
        return name


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    """A dozen anchors and a statement."""
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.4)
    try:
        ledger.start()
        with Submitter(broker.port, ledger.id) as one:
            made = Site(ledger, one, [])
            for size in range(1, 13, 4):
                parents = one.parents()
                names = [
                    one.submit(anchor(parents, size + n, gateway_key(1 + n))) for n in range(4)
                ]
                for name in names:
                    one.answer(name, State.CONFIRMED)
                made.names += names
            raw = said(
                one.parents(), ledger.id, gateway_key(51), StatementKind.STOLEN, gateway_key(50)
            )
            made.names.append(one.submit(raw))
            one.answer(made.names[-1], State.CONFIRMED)
            yield made
    finally:
        ledger.kill()


@pytest.mark.parametrize(
    ("screen", "dark", "picture"),
    [
        (DESKTOP, False, "ledger-desktop"),
        (DESKTOP, True, "ledger-desktop-dark"),
        (PHONE, False, "ledger-phone"),
        (PHONE, True, "ledger-phone-dark"),
    ],
)
def test_shows_the_dag_and_one_block(
    site: Site, browser: Browser, screen: Screen, dark: bool, picture: str
) -> None:
    """Blocks, parents, what is confirmed, and the path of one of them; on a phone nothing hangs over the side."""
    page = browser.open(site.ledger.url(), screen=screen, dark=dark)
    expect(page.locator("#ledger")).to_have_text(site.ledger.id.hex())
    name = site.names[5]
    proof = site.one.answer(name, State.CONFIRMED).confirmed
    assert proof is not None
    spot = page.locator(f'[data-id="{name.hex()}"]')
    expect(spot).to_have_class("node anchor confirmed")
    spot.press("Enter")
    block = page.locator("#block")
    expect(block.locator("h2")).to_have_text("anchor")
    expect(block).to_contain_text(f"{proof.position} of {proof.milestone.size}")
    assert [one.hex() for one in proof.path] == block.locator("ol li").all_inner_texts()
    for parent in proof.block.parents:
        expect(block.locator(f'a[title="{parent.hex()}"]')).to_have_count(1)
    lines = page.locator(".edges line.chosen")
    assert lines.count() >= len(proof.block.parents)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    browser.picture(page, picture)
    # through a parent to its own parents, by the keyboard alone
    block.locator(f'a[title="{proof.block.parents[0].hex()}"]').press("Enter")
    expect(block.locator("dd .hash").first).to_have_text(proof.block.parents[0].hex())
    assert page.url.endswith(proof.block.parents[0].hex())


def test_grows_while_one_looks(site: Site, browser: Browser) -> None:
    """A page that must be reloaded shows an operator yesterday's ledger."""
    page = browser.open(site.ledger.url(), screen=DESKTOP)
    expect(page.locator("#index")).not_to_have_text("–")
    name = site.grow(50)
    expect(page.locator(f'[data-id="{name.hex()}"]')).to_have_class("node anchor confirmed")
    page.locator("#wanted").fill(name.hex())
    page.locator("#wanted").press("Enter")
    expect(page.locator("#block")).to_contain_text("size")
    page.locator("#wanted").fill("nonsense")
    page.locator("#wanted").press("Enter")
    expect(page.locator("#block")).to_contain_text("64 hexadecimal digits")


def test_statement_and_genesis_have_shapes_of_their_own(site: Site, browser: Browser) -> None:
    """Who cannot tell colours apart must see what is what."""
    page = browser.open(f"{site.ledger.url()}/#{site.names[-1].hex()}", screen=DESKTOP)
    expect(page.locator("#block h2")).to_have_text("statement")
    expect(page.locator("#block")).to_contain_text("stolen")
    expect(page.locator(".node.statement path")).to_have_count(1)
    expect(page.locator(".node.genesis path")).to_have_count(1)
    assert page.locator(".node.milestone rect").count() > 3


def test_says_when_the_node_is_gone(site: Site, browser: Browser) -> None:
    """Old facts must not look like new ones."""
    page = browser.open(site.ledger.url(), screen=DESKTOP, allow=r"Failed to load resource|ERR_")
    expect(page.locator("#index")).not_to_have_text("–")
    expect(page.locator("#stale")).to_be_hidden()
    site.ledger.kill()
    expect(page.locator("#stale")).to_contain_text("No answer from the node")


def test_second_node_shows_the_fork(
    site: Site, browser: Browser, tmp_path: Path, broker: Broker
) -> None:
    """The alarm stands on the page of whoever follows, in words."""
    second = Following(tmp_path / "second", broker.port, site.ledger.name)
    try:
        second.start()
        until(lambda: second.index() > 2, "the second node")
        stone = milestone.parse(site.one.milestones[-1])
        twin = milestone.sign(
            Folder(site.ledger.folder).key(),
            *(site.ledger.id, stone.index, [stone.previous], stone.time),
            *(stone.first, stone.size, bytes(32)),
        )
        until(lambda: second.index() >= stone.index, "the second node")
        site.one.client.publish(site.one.topics.block(bytes(32)), twin, 1)
        page = browser.open(second.url(), screen=PHONE)
        expect(page.locator("#alarm")).to_contain_text("milestone.fork")
        expect(page.locator("#role")).to_have_text("follows")
    finally:
        second.kill()


def test_page_is_its_own(site: Site) -> None:
    """No address of anybody else's stands in it, and what a block says cannot become code."""
    import httpx

    for path in ("/", "/page/page.css", "/page/page.js", "/page/drawing.js"):
        answer = httpx.get(site.ledger.url() + path)
        assert 200 == answer.status_code
        assert "https://" not in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert 404 == httpx.get(site.ledger.url() + "/page/..%2fschema.sql").status_code
    assert 404 == httpx.get(site.ledger.url() + "/page/nothing").status_code
