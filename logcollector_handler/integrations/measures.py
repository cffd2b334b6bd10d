"""The counts of `handler.stats()` as metrics, whatever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from logcollector_handler.stats import Stats

#: What stands before the name of each metric.
PREFIX: Final = "logcollector_handler"
_COUNTS: Final = {
    "accepted": "Records that passed level and filters.",
    "delivered": "Records that the server took.",
    "dead_lettered": "Records that the server refused even alone.",
    "handed_over": "Records that were left in the spool for another process to send.",
    "batches": "Batches that the server took.",
    "requests": "Requests, those that failed included.",
    "encoded_bytes": "Bytes of the batches that the server took, before compression.",
    "sent_bytes": "Bytes of the batches that the server took, as they were sent.",
}
_BY: Final = {
    "dropped": ("reason", "Records that were given up, by reason."),
    "adopted": ("outcome", "Records that another process left and that this one settled, by outcome."),
}


class Counted(Protocol):
    """A handler, as far as its counts are read."""

    def get_name(self) -> str | None:
        """Its name in `dictConfig`."""

    def stats(self) -> Stats:
        """Its counts."""


class Measure(NamedTuple):
    """One metric: a counter, or a gauge where the number can fall."""

    name: str
    what: str
    is_counter: bool
    #: The name of its label, if it has one.
    label: str | None


#: All of them.
MEASURES: Final = (
    *(Measure(name, what, True, None) for name, what in _COUNTS.items()),
    *(Measure(name, what, True, label) for name, (label, what) in _BY.items()),
    Measure("pending", "Records in memory or in the spool.", False, None),
)


def values(measure: Measure, stats: Stats) -> Iterator[tuple[Mapping[str, str], int]]:
    """The values of a metric, each with its labels."""
    value = getattr(stats, measure.name)
    if measure.label is None:
        yield {}, value
    else:
        for name, count in value.items():
            yield {measure.label: name}, count


def name_of(handler: Counted) -> str:
    """What a handler is called in metrics."""
    return handler.get_name() or "logcollector"
