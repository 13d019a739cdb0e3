"""Fixtures that give tests the real programs.

A missing program fails the test with a hint to run `make setup`; no test is left out for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import parts
from tests.browser import Browser
from tests.parts import Broker

LONGEST_FIRST = ("whole", "firmware", "host_tools", "gateway", "ledger")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest rooms begin first, so that no worker is left alone with one of them at the end."""
    rooms = {name: place for place, name in enumerate(LONGEST_FIRST)}
    tests = parts.ROOT / "tests"
    items.sort(key=lambda item: rooms.get(item.path.relative_to(tests).parts[0], len(rooms)))


@pytest.fixture(scope="session")
def micropython64() -> list[str]:
    """Argument list that starts MicroPython with 64-bit words."""
    return parts.micropython64()


@pytest.fixture(scope="session")
def micropython32() -> list[str]:
    """Argument list that starts MicroPython with 32-bit words, as on the board."""
    return parts.micropython32()


@pytest.fixture(scope="session")
def micropython_lib() -> Path:
    """Folder for MICROPYPATH with `umqtt.simple`."""
    return parts.micropython_lib()


@pytest.fixture(scope="session")
def cwt_python() -> Path:
    """Python that has the second COSE implementation."""
    return parts.cwt_python()


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts brokers that end with the test: `start_broker("site", config="...")`."""
    with ExitStack() as running:

        def start(name: str = "broker", *, port: int | None = None, config: str = "") -> Broker:
            return running.enter_context(Broker(tmp_path / name, port=port, config=config))

        yield start


@pytest.fixture
def broker(start_broker: Callable[..., Broker]) -> Broker:
    """A running broker that lets everybody in; `kill()` and `start()` it as the test needs."""
    return start_broker()


@pytest.fixture(scope="module")
def _chromium() -> Iterator[Browser]:
    """One real browser for a file of tests; while it runs, its event loop is this thread's."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(_chromium: Browser) -> Iterator[Browser]:
    """A real Chromium: `browser.open(url, screen=PHONE, dark=True)`; see `tests/browser.py`.

    The test fails if a page that it opened logged an error or asked for anything off this machine.
    """
    yield _chromium
    complaints = _chromium.close_pages()
    assert complaints == []
