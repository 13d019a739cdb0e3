"""A broker, a simulated ledger, the boards' side, and a gateway process, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway
from tests.parts import Broker


@pytest.fixture
def ledger(broker: Broker) -> Iterator[LedgerDouble]:
    """A simulated ledger that confirms at once."""
    double = LedgerDouble(broker.port)
    yield double
    double.close()


@pytest.fixture
def field(broker: Broker) -> Iterator[Field]:
    """The boards' side of the broker."""
    client = Field(broker.port)
    yield client
    client.close()


@pytest.fixture
def gateway(tmp_path: Path, broker: Broker, ledger: LedgerDouble) -> Iterator[Gateway]:
    """A gateway with its folder, not started yet."""
    made = Gateway(tmp_path / "gw", broker.port, ledger.line)
    yield made
    made.kill()
