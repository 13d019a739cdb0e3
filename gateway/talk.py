"""How the commands talk: facts for programs or for people on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

__all__ = ["JSON", "progress", "say"]

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Gives `moved(done, all)`: a bar on a terminal, a line for each tenth elsewhere; on stderr."""
    terminal = sys.stderr.isatty()
    last = -1

    def moved(done: int, whole: int) -> None:
        nonlocal last
        percent = min(100, 100 * done // whole) if whole else 100
        step = percent if terminal else percent // 10 * 10
        if step == last:
            return
        last = step
        if terminal:
            bar = "#" * (percent * 30 // 100)
            click.echo(f"\r{label} [{bar:<30}] {percent:3} %", err=True, nl=False)
        elif step:
            click.echo(f"{label}: {step} %", err=True)

    try:
        yield moved
    finally:
        if terminal and last >= 0:
            click.echo(err=True)


def say(as_json: bool, facts: Mapping[str, object], line: str) -> None:
    """What a command found, on stdout: for programs or for people."""
    click.echo(json.dumps(facts) if as_json else line)
