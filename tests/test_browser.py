"""The browser of the tests. If these fail, a page could call home or break, and no test would see."""

from __future__ import annotations

from pathlib import Path

from tests.browser import DESKTOP, PHONE, Browser


def written(folder: Path, body: str) -> Path:
    """A page with this body."""
    page = folder / "page.html"
    page.write_text(f"<!doctype html><meta name=viewport content='width=device-width'>{body}")
    return page


def test_runs_scripts_and_draws(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(written(tmp_path, "<p id=a><script>a.textContent = 6 * 7</script>"))
    assert page.locator("#a").inner_text() == "42"
    assert browser.picture(page, "answer").read_bytes().startswith(b"\x89PNG")


def test_has_the_screen_and_the_colours_asked_for(browser: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, "")
    asked = "[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]"
    assert browser.open(path, screen=PHONE, dark=True).evaluate(asked) == [PHONE.width, True]
    assert browser.open(path).evaluate(asked) == [DESKTOP.width, False]


def test_complains_of_what_leaves_the_machine(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(
        written(tmp_path, "<script>fetch('http://192.0.2.1/x').catch(() => a = 1)</script>"),
        allow="Failed to load resource",
    )
    page.wait_for_function("() => typeof a !== 'undefined'")
    assert browser.close_pages() == ["asked for 'http://192.0.2.1/x'"]


def test_complains_of_errors(browser: Browser, tmp_path: Path) -> None:
    browser.open(written(tmp_path, "<script>console.error('bad'); nothing()</script>"))
    assert browser.close_pages() == ["console: bad", "script: nothing is not defined"]
