"""The gateway's figures: the rules of one process, the whole way through a broker, and the log at
its sizes.
"""

from __future__ import annotations

from bench import gateway_load, gateway_rules, gateway_size
from bench.figure import Figure


def figures() -> list[Figure]:
    """All of them; the log with ten million leaves is a run of its own (`make size`)."""
    return [*gateway_rules.figures(), *gateway_load.figures(), *gateway_size.figures()]
