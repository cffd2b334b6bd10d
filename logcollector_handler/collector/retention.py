"""Removes logs that are older than a number of days, or exceed a number of bytes on the disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from logcollector_handler.wire.posted.body import Limits

from .search import INDEXED
from .store import Store

#: Seconds between two calls of `retain`.
INTERVAL: Final = 10.0
#: Logs removed in one transaction. A batch that arrives meanwhile waits for its end.
STEP: Final = 2000
#: Pages of a full-text index that are merged in one transaction.
_MERGED: Final = 500
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
    if keep.max_bytes is not None:
        removed += _remove_down(store, keep.max_bytes, stopping)
    if removed:
        store.give_back()
    return removed


def _remove_down(store: Store, max_bytes: int, stopping: Callable[[], bool]) -> int:
    """Remove the first logs until the others take less than `max_bytes`, and return how many it removed."""
    removed = 0
    if store.used_bytes() > max_bytes:
        # The words of logs that were removed for their age still take room.
        _merge_indexes(store, stopping)
    while not stopping() and (used := store.used_bytes()) > max_bytes:
        # Worked out, not tried out: what removed logs had in the indexes is free only when these are merged.
        more = math.ceil(store.count() * (1 - max_bytes * _LEFT / used))
        taken = 0
        while taken < more and not stopping() and (count := store.remove_first(min(more - taken, STEP))):
            taken += count
        if not taken:
            break
        removed += taken
        _merge_indexes(store, stopping)
    return removed


def _merge_indexes(store: Store, stopping: Callable[[], bool]) -> None:
    """Have the full-text indexes drop the words of removed logs, which take as much room as before until then."""
    for index in INDEXED:
        # The first call begins to merge everything, with a negative number, and those behind it continue.
        pages = -_MERGED
        while not stopping():
            with store.transaction() as cursor:
                before = cursor.connection.total_changes
                cursor.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('merge', ?)", (pages,))  # noqa: S608
                # https://sqlite.org/fts5.html: a difference of less than two means that nothing is left to merge.
                is_merged = cursor.connection.total_changes - before < 2
            if is_merged:
                break
            pages = _MERGED


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
