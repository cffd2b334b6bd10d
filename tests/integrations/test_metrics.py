"""The counts of a handler, read by prometheus_client and by OpenTelemetry."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.integrations.measures import MEASURES
from logcollector_handler.integrations.opentelemetry import observe_stats
from logcollector_handler.integrations.prometheus import StatsCollector
from logcollector_handler.stats import Counts, Stats


class Handler:
    """Has counts, and perhaps a name."""

    def __init__(self, name: str | None = None, **counts: Any) -> None:
        self._name = name
        self.counts = Stats(**counts)

    def get_name(self) -> str | None:
        return self._name

    def stats(self) -> Stats:
        return self.counts


DROPPED = Counts(queue_full=3, shutdown=4)


def test_prometheus_reads_the_counts_when_it_asks() -> None:
    handler = Handler("audit", accepted=20, delivered=4, handed_over=6, dropped=DROPPED, pending=3)
    registry = CollectorRegistry()
    registry.register(StatsCollector(handler, Handler(accepted=1)))
    text = generate_latest(registry).decode()
    assert 'logcollector_handler_accepted_total{handler="audit"} 20.0' in text
    assert 'logcollector_handler_accepted_total{handler="logcollector"} 1.0' in text
    assert 'logcollector_handler_dropped_total{handler="audit",reason="queue_full"} 3.0' in text
    assert 'logcollector_handler_handed_over_total{handler="audit"} 6.0' in text
    assert 'logcollector_handler_pending{handler="audit"} 3.0' in text
    assert "# TYPE logcollector_handler_pending gauge" in text
    handler.counts = Stats(accepted=21)
    assert 'logcollector_handler_accepted_total{handler="audit"} 21.0' in generate_latest(registry).decode()


def test_opentelemetry_reads_the_counts_when_it_collects() -> None:
    reader = InMemoryMetricReader()
    handler = Handler("audit", accepted=20, dropped=DROPPED, pending=3, adopted=Counts(delivered=2))
    observe_stats(handler, meter=MeterProvider([reader]).get_meter("test"))

    def read() -> dict[tuple[str, ...], Any]:
        data = reader.get_metrics_data()
        assert data is not None
        return {
            (metric.name, *map(str, (point.attributes or {}).values())): point.value  # type: ignore[union-attr]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    found = read()
    assert found["logcollector_handler.accepted", "audit"] == 20
    assert found["logcollector_handler.dropped", "audit", "shutdown"] == 4
    assert found["logcollector_handler.adopted", "audit", "delivered"] == 2
    assert found["logcollector_handler.pending", "audit"] == 3
    handler.counts = Stats(accepted=30, pending=0)
    found = read()
    assert (found["logcollector_handler.accepted", "audit"], found["logcollector_handler.pending", "audit"]) == (30, 0)


def test_every_count_of_a_handler_is_measured() -> None:
    assert {measure.name for measure in MEASURES} == set(Stats.__dataclass_fields__)


@pytest.mark.parametrize("name", [None, "collector"])
def test_a_handler_itself_is_read(name: str | None) -> None:
    handler = LogCollectorHandler(enabled=False)
    handler.set_name(name or "")
    registry = CollectorRegistry()
    registry.register(StatsCollector(handler))
    assert f'accepted_total{{handler="{name or "logcollector"}"}} 0.0' in generate_latest(registry).decode()
    handler.close()
