"""What /metrics says, in Prometheus' text format (prometheus_client).

Everything is read when it is asked for: the counters are those of the database, so a restart does
not set them back. No label ever holds a hash or a reading; a label for each device stands behind
the setting `device-metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from tallystick_gateway.views import Views, summary
from tallystick_gateway.writer import Writer

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_PREFIX: Final = "tallystick_gateway_"
_RESULTS: Final = ("admitted", "duplicate", "fork", "disowned", "rejected")
_STATES: Final = ("starting", "running", "trouble", "frozen")
_NOUNS: Final = frozenset(
    "cbor cose key signature field record chain message topic device gateway".split()
)


class Metrics:
    """A registry of its own, so that two gateways in one process do not collide."""

    def __init__(
        self,
        writer: Writer,
        views: Callable[[], AbstractContextManager[Views]],
        *,
        by_device: bool = False,
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Collector(writer, views, by_device))

    def text(self) -> bytes:
        """The whole answer."""
        return generate_latest(self._registry)


class _Collector:
    def __init__(
        self,
        writer: Writer,
        views: Callable[[], AbstractContextManager[Views]],
        by_device: bool,
    ) -> None:
        self._writer, self._views, self._by_device = writer, views, by_device

    def describe(self) -> list[Metric]:
        """Nothing is asked of the database before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        status = self._writer.status()
        yield InfoMetricFamily(
            _PREFIX + "build", "the running program", value={"version": version("tallystick")}
        )
        state = GaugeMetricFamily(
            _PREFIX + "state", "1 for the state that the gateway is in", labels=["state"]
        )
        for name in _STATES:
            state.add_metric([name], float(status["state"] == name))
        yield state
        yield _gauge("enrolled_devices", "devices that may speak", status["devices"])
        yield _gauge(
            "refused_enrolment_entries", "entries that do not count", status["refused_entries"]
        )
        yield _gauge("log_size", "leaves of the log", status["size"] or 0)
        yield _gauge("signed_size", "leaves that the newest checkpoint covers", status["signed"])
        yield _gauge(
            "anchor_pending", "anchors that the ledger has not confirmed", status["pending"]
        )
        with self._views() as views, views.snapshot():
            yield from self._stored(views)

    def _stored(self, views: Views) -> Iterator[Metric]:
        counters = views.counters()
        received = CounterMetricFamily(
            _PREFIX + "messages_received", "messages by what became of them", labels=["result"]
        )
        for name in _RESULTS:
            received.add_metric([name], counters.get(name, 0))
        yield received
        yield CounterMetricFamily(
            _PREFIX + "quarantine_evicted",
            "refused messages that made room for newer ones",
            value=counters.get("evicted", 0),
        )
        kept = GaugeMetricFamily(
            _PREFIX + "quarantine_messages",
            "refused messages that are kept, by what is wrong with them",
            labels=["reason"],
        )
        for reason, count in _by_noun(views.quarantine_codes()).items():
            kept.add_metric([reason], count)
        yield kept
        yield _gauge("anchored_tree_size", "leaves under confirmed anchors", views.anchored_size())
        newest = views.newest_confirmed()
        if newest is not None and newest.milestone_time is not None:
            yield _gauge(
                "anchor_last_success_timestamp_seconds",
                "ledger time of the newest confirmed anchor",
                newest.milestone_time,
            )
            yield _gauge(
                "anchor_duration_seconds",
                "from the newest confirmed anchor's making to its milestone",
                max(0, newest.milestone_time - newest.built),
            )
        gaps = forked = silent = 0
        seen = GaugeMetricFamily(
            _PREFIX + "device_last_seen_timestamp_seconds",
            "when the device was last heard, verified",
            labels=["device"],
        )
        for row in views.devices():
            if row.state is None:
                silent += 1
                continue
            _, missing, fork = summary(row.state)
            gaps += sum(map(len, missing))
            forked += fork is not None
            if self._by_device and row.last_seen is not None:
                seen.add_metric([row.device.hex()], row.last_seen)
        yield _gauge("chain_gap_records", "records that are missing, of all devices", gaps)
        yield _gauge("forked_devices", "devices whose key is in two hands", forked)
        yield _gauge("silent_devices", "devices known here that have no record", silent)
        if self._by_device:
            yield seen


def _gauge(name: str, text: str, value: Any) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=float(value))


def _by_noun(codes: dict[str, int]) -> dict[str, int]:
    """Codes of docs/format.md, section 15, by their noun: few, and known beforehand."""
    found: dict[str, int] = {}
    for code, count in codes.items():
        noun = code.split(".")[0]
        reason = noun if noun in _NOUNS else "other"
        found[reason] = found.get(reason, 0) + count
    return found
