"""Removes logs that are older than a number of days, or exceed a number of bytes on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from logcollector_handler.wire.posted.body import Limits

from .store import Store

#: Seconds between two calls of `retain`.
INTERVAL: Final = 10.0
#: Logs removed in one transaction. A batch that arrives meanwhile waits for its end.
STEP: Final = 2000
#: The share of `max_bytes` down to which logs are removed, so that the next batch does not exceed it at once.
_LEFT: Final = 0.9
_DAY: Final = 24 * 3600.0
#: The least `max_bytes` with which the largest batch that is accepted fits in, with its indexes.
LEAST_BYTES: Final = 2 * Limits.decompressed_bytes
#: Seconds between two lines that say how many logs were removed.
SAY_EVERY: Final = 600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keep:
    """How long logs are kept. None: no limit."""

    #: Days since the `created_at` of an entry.
    days: float | None = None
    #: Maximum size of the file; the logs that arrived first are removed first. SQLite's write-ahead log beside the file
    #: takes about 16 MB more.
    max_bytes: int | None = None


def retain(store: Store, keep: Keep, now: float, stopping: Callable[[], bool] = lambda: False) -> int:
    """Remove the logs beyond the limits at `now`, in Unix seconds, and return their space to the disk.

    Other threads can write between its transactions. It ends early once `stopping` returns true.

    Returns:
        The number of logs removed.
    """
    removed = 0
    if keep.days is not None:
        while not stopping() and (count := store.remove_older(now - keep.days * _DAY, STEP)):
            removed += count
    if keep.max_bytes is not None and store.used_bytes() > keep.max_bytes:
        while not stopping() and store.used_bytes() > keep.max_bytes * _LEFT and (count := store.remove_first(STEP)):
            removed += count
    if removed:
        store.give_back()
    return removed


class Removals:
    """Says in the log how many logs were removed: at the first time, and then now and again."""

    def __init__(self) -> None:
        self._unsaid = 0
        self._next = 0.0

    def add(self, count: int, now: float) -> None:
        """Logs were removed, at `now` in monotonic seconds."""
        self._unsaid += count
        if self._unsaid and now >= self._next:
            _log.warning("%d logs were removed, because they were too old or the file too large.", self._unsaid)
            self._unsaid, self._next = 0, now + SAY_EVERY
