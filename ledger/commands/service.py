"""What the commands that run in the foreground share."""

from __future__ import annotations

import signal
import threading

from tallystick_ledger.turns import Turns

__all__ = ["join", "stop_on_signals"]

_JOIN_S = 1.0


def stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def join(writer: threading.Thread, turns: Turns, stop: threading.Event) -> None:
    """Wait for the stop and the writer; its error, if that ended it, is raised."""
    stop.wait()
    writer.join(_JOIN_S)
    # a writer that is still at work is ended with the process, as any power cut would
    if not writer.is_alive() and turns.error is not None:
        raise turns.error
