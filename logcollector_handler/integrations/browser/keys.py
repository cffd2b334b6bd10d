"""Which batches were handed on, so that one that a browser sends again is handed on once in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

#: How many batches are remembered, and for how many seconds.
REMEMBERED: Final = 5000
SECONDS: Final = 15 * 60.0


class _Batch(NamedTuple):
    digest: bytes
    time: float


class Keys:
    """The Idempotency-Keys of batches that came lately.

    Args:
        monotonic: the time in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: By key; the one that came first comes first.
        self._batches: OrderedDict[str, _Batch] = OrderedDict()

    def claim(self, key: str, digest: bytes) -> bool | None:
        """Remember a batch by its key and a digest of its body.

        Returns:
            True if the key is new; False if this batch came before; None if another one had its key.
        """
        with self._lock:
            now = self._monotonic()
            while self._batches:
                oldest = next(iter(self._batches))
                if len(self._batches) < REMEMBERED and now - self._batches[oldest].time < SECONDS:
                    break
                del self._batches[oldest]
            before = self._batches.setdefault(key, made := _Batch(digest, now))
            return True if before is made else False if before.digest == digest else None
