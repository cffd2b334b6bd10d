"""How long logs are kept: at most so many days, and at most so many bytes on the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .store import Store

#: Seconds between two looks.
INTERVAL: Final = 10.0
#: Logs that are removed in one transaction: a batch that comes meanwhile waits that long.
STEP: Final = 2000
#: Of the bytes that are allowed, what is left behind a removal, so that there is not one for every batch.
_LEFT: Final = 0.9
_DAY: Final = 24 * 3600.0


@dataclass(frozen=True)
class Keep:
    """What is kept. None: without end."""

    #: Since the time that an entry says of itself.
    days: float | None = None
    #: Of the file; those that came first go first. The log beside it takes some 16 MB more.
    max_bytes: int | None = None


def retain(store: Store, keep: Keep, now: float, stopping: Callable[[], bool] = lambda: False) -> int:
    """Remove what is not kept at `now`, in Unix seconds, and give its place on the disk back; how many logs it were.

    It takes a while when there is much, and others may write meanwhile. It ends early when it is `stopping`.
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
