"""The counts of handlers as observable instruments of OpenTelemetry: `observe_stats(get_handler())`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from .measures import MEASURES, PREFIX, Counted, Measure, name_of, values

__all__ = ["observe_stats"]


def observe_stats(*handlers: Counted, meter: Meter | None = None) -> None:
    """Make an instrument for each count of the handlers. Call it once, with all handlers of the process.

    Args:
        handlers: the handlers, whose counts are read when the metrics are collected.
        meter: what makes the instruments; default: one of the global meter provider.
    """
    given = meter or get_meter("logcollector_handler")
    for measure in MEASURES:
        make = given.create_observable_counter if measure.is_counter else given.create_observable_up_down_counter
        name = f"{PREFIX}.{measure.name}"
        make(name, callbacks=[_callback(measure, handlers)], description=measure.what)


def _callback(measure: Measure, handlers: tuple[Counted, ...]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(value, {"handler": name_of(handler), **labels})
            for handler in handlers
            for labels, value in values(measure, handler.stats())
        ]

    return observe
