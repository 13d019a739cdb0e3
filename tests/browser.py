"""A real, headless Chromium for tests of pages, driven by Playwright.

    def test_shows_a_device(browser: Browser) -> None:
        page = browser.open(f"http://127.0.0.1:{port}/", screen=PHONE, dark=True)
        page.get_by_role("link", name="cold room").click()
        browser.picture(page, "gateway-phone")

A page may talk to loopback and to files, and to nothing else: whatever it asks for elsewhere is
refused and fails the test, as does an error in its console. A complaint that a test provokes on
purpose is named in `allow`.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from tests.parts import ROOT, chromium

ARGUMENTS = [
    "--no-sandbox",  # the suite also runs as root, in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
]
TIMEOUT_MS = 30_000
LOCAL_SCHEMES = frozenset({"file", "data", "blob", "about"})
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PICTURES = ROOT / "docs" / "pictures"
WRITE_PICTURES = "TALLYSTICK_PICTURES"  # set to 1 to renew the pictures of the docs


@dataclass(frozen=True)
class Screen:
    """What a page is looked at with: CSS pixels, and device pixels for one of them."""

    width: int
    height: int
    scale: float = 1.0
    touch: bool = False


DESKTOP = Screen(1280, 800)
PHONE = Screen(390, 844, scale=2.0, touch=True)


def is_local(url: str) -> bool:
    """Whether an address leads to this machine and nowhere else."""
    parts = urlsplit(url)
    return parts.scheme in LOCAL_SCHEMES or parts.hostname in LOCAL_HOSTS


class Browser:
    """One browser process; each `open` gives a page with a profile of its own."""

    def __init__(self) -> None:
        self._complaints: list[str] = []
        self._contexts: list[BrowserContext] = []

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        self._browser: PlaywrightBrowser = self._playwright.chromium.launch(
            executable_path=str(chromium()), args=ARGUMENTS
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_pages()
        self._browser.close()
        self._playwright.stop()

    def open(
        self,
        url: str | Path,
        *,
        screen: Screen = DESKTOP,
        dark: bool = False,
        allow: str | None = None,
    ) -> Page:
        """A fresh page at `url`; `allow`: pattern of the console errors that the test provokes."""
        context = self._browser.new_context(
            viewport={"width": screen.width, "height": screen.height},
            device_scale_factor=screen.scale,
            has_touch=screen.touch,
            is_mobile=screen.touch,
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id="UTC",
            accept_downloads=True,
        )
        context.set_default_timeout(TIMEOUT_MS)
        self._contexts.append(context)
        context.route(lambda asked: not is_local(asked), self._refuse)
        page = context.new_page()

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error" and not (allow and re.search(allow, message.text)):
                self._complaints.append(f"console: {message.text}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: self._complaints.append(f"script: {error}"))
        page.goto(url.resolve().as_uri() if isinstance(url, Path) else url)
        return page

    def picture(self, page: Page, name: str, *, whole: bool = False) -> Path:
        """Draw the page into a PNG; into the docs if TALLYSTICK_PICTURES is 1, else elsewhere."""
        if os.environ.get(WRITE_PICTURES) == "1":
            folder = PICTURES
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(tempfile.mkdtemp(prefix="tallystick-picture-"))
        path = folder / f"{name}.png"
        page.screenshot(path=str(path), full_page=whole, animations="disabled")
        return path

    def close_pages(self) -> list[str]:
        """Close all pages; returns what they complained of since the last call."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        complaints, self._complaints = self._complaints, []
        return complaints

    def _refuse(self, route: Route) -> None:
        self._complaints.append(f"asked for '{route.request.url}'")
        route.abort()
