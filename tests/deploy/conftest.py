"""The gateway's fixtures, for what is deployed around it."""

from __future__ import annotations

from tests.gateway.conftest import field, gateway, ledger

__all__ = ["field", "gateway", "ledger"]
