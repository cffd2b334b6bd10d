"""The counts of handlers for `prometheus_client`.

from prometheus_client import REGISTRY
REGISTRY.register(StatsCollector(get_handler()))
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .measures import MEASURES, PREFIX, Counted, name_of, values

__all__ = ["StatsCollector"]


class StatsCollector(Collector):
    """Reads the counts of one handler or of several when metrics are asked for; between that it costs nothing.

    Args:
        handlers: the handlers, or `LogClient.handler`.
    """

    def __init__(self, *handlers: Counted) -> None:
        self._handlers = handlers

    def describe(self) -> Iterable[Metric]:
        """The metrics without values."""
        return self._families(())

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        return self._families(self._handlers)

    def _families(self, handlers: tuple[Counted, ...]) -> list[Metric]:
        all_stats = [(name_of(handler), handler.stats()) for handler in handlers]
        families: list[Metric] = []
        for measure in MEASURES:
            labels = ["handler"] if measure.label is None else ["handler", measure.label]
            kind = CounterMetricFamily if measure.is_counter else GaugeMetricFamily
            family = kind(f"{PREFIX}_{measure.name}", measure.what, labels=labels)
            for name, stats in all_stats:
                for given, value in values(measure, stats):
                    family.add_metric([name, *given.values()], value)
            families.append(family)
        return families
