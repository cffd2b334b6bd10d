"""The one way out for trouble inside the package: a line on stderr, rate limited, never through `logging`.

Nothing here raises, and nothing here may be handed a secret: callers mask before they speak.
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping

#: Seconds for which a second message of the same kind is held back and counted.
REPEAT_AFTER = 60.0


class Reporter:
    """Says what went wrong, on stderr, once a minute for each kind of trouble."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, tuple[float, int]] = {}
        # Lost records that were told of, by reason.
        self._told: Counter[str] = Counter()

    def say(self, kind: str, message: str) -> None:
        """Print one plain sentence, unless one of this kind was printed less than a minute ago.

        The next that is printed tells how many were held back.
        """
        held_back = self._admitted(kind)
        if held_back is not None:
            more = f" ({held_back} more like this since the last message)" if held_back else ""
            self._print(f"{message}{more}")

    def lost(self, totals: Mapping[str, int], *, at_last: bool = False) -> None:
        """Tell of lost records, at most once a minute for each reason; none of them is left out in the end.

        Args:
            totals: all that were lost so far, by the reason in words.
            at_last: the process ends: tell of all that was held back.
        """
        for reason, total in totals.items():
            count = total - self._told[reason]
            if count and (self._admitted(f"lost: {reason}") is not None or at_last):
                self._told[reason] = total
                self._print(f"{'1 record was' if count == 1 else f'{count} records were'} dropped: {reason}")

    def _admitted(self, kind: str) -> int | None:
        """How many of this kind were held back, if one may be printed now."""
        now = self._monotonic()
        last, held_back = self._said.get(kind, (None, 0))
        if last is not None and now - last < REPEAT_AFTER:
            self._said[kind] = (last, held_back + 1)
            return None
        self._said[kind] = (now, 0)
        return held_back

    @staticmethod
    def _print(message: str) -> None:
        # stderr may be gone, closed, or a full pipe's broken end: there is no one left to tell.
        try:
            stream = sys.stderr
            if stream is not None and not isinstance(stream, io.TextIOBase):
                # What an application or Celery has put in its place may log what is written to it.
                stream = sys.__stderr__
            stream.write(f"logcollector-handler: {message}\n")  # type: ignore[union-attr]  # one that is None, too
            stream.flush()  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - see above
            return
