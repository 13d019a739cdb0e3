"""The prepared programs, for tests: `tools.parts` under the name by which tests import it."""

from __future__ import annotations

from tools.parts import (
    LOOPBACK,
    ROOT,
    Broker,
    BrokerError,
    MissingPartError,
    chromium,
    cwt_python,
    free_port,
    micropython32,
    micropython64,
    micropython_lib,
    mosquitto,
    part,
    promtool,
    tlog_client,
    witness,
)

__all__ = [
    "LOOPBACK",
    "ROOT",
    "Broker",
    "BrokerError",
    "MissingPartError",
    "chromium",
    "cwt_python",
    "free_port",
    "micropython32",
    "micropython64",
    "micropython_lib",
    "mosquitto",
    "tlog_client",
    "witness",
    "promtool",
    "part",
]
