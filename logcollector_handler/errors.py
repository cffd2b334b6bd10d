"""The one way out for trouble inside the package: a line on stderr, rate limited, never through `logging`.

Nothing here raises, and nothing here may be handed a secret: callers mask before they speak.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

#: Seconds for which a second message of the same kind is held back and counted.
REPEAT_AFTER = 60.0


class Reporter:
    """Says what went wrong, on stderr, once a minute for each kind of trouble."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, tuple[float, int]] = {}

    def say(self, kind: str, message: str) -> None:
        """Print one plain sentence, unless one of this kind was printed less than a minute ago.

        The next that is printed tells how many were held back.
        """
        now = self._monotonic()
        last, held_back = self._said.get(kind, (None, 0))
        if last is not None and now - last < REPEAT_AFTER:
            self._said[kind] = (last, held_back + 1)
            return
        self._said[kind] = (now, 0)
        more = f" ({held_back} more like this since the last message)" if held_back else ""
        # stderr may be gone, closed, or a full pipe's broken end: there is no one left to tell.
        try:
            sys.stderr.write(f"logcollector-handler: {message}{more}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - see above
            return
