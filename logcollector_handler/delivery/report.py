"""How the package reports its own troubles: a line on stderr, at most one a minute of each kind, never by `logging`.

Nothing here raises. Messages must hold no secrets: callers mask them first.
"""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping

from .clock import SystemClock
from .pipes import broken_pipes_raise

#: Seconds for which a second message of the same kind is held back and counted.
REPEAT_AFTER = 60.0


class Reporter:
    """Says on stderr what went wrong, at most once a minute for each kind of trouble."""

    def __init__(self, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, tuple[float, int]] = {}
        # How many lost records were reported, by reason.
        self._told: Counter[str] = Counter()

    def say(self, kind: str, message: str) -> None:
        """Print one plain sentence, unless one of this kind was printed less than a minute ago.

        The next one that is printed says how many of this kind were held back.
        """
        held_back = self._admitted(kind)
        if held_back is not None:
            more = f" ({held_back} more like this since the last message)" if held_back else ""
            self._print(f"{message}{more}")

    def lost(self, totals: Mapping[str, int], *, at_last: bool = False) -> None:
        """Report lost records, at most once a minute for each reason. A later report includes what was held back.

        Args:
            totals: all that were lost so far, by the reason in words.
            at_last: the process ends: report what was held back, even if the last report was a moment ago.
        """
        for reason, total in totals.items():
            count = total - self._told[reason]
            # Less than none: another thread has counted later, and reported it first.
            if count > 0 and (self._admitted(f"lost: {reason}") is not None or at_last):
                self._told[reason] = total
                self._print(f"{'1 record was' if count == 1 else f'{count} records were'} dropped: {reason}")

    def _admitted(self, kind: str) -> int | None:
        """How many of this kind were held back since the last, if one may be printed now; else None, and count it."""
        now = self._monotonic()
        last, held_back = self._said.get(kind, (None, 0))
        if last is not None and now - last < REPEAT_AFTER:
            self._said[kind] = (last, held_back + 1)
            return None
        self._said[kind] = (now, 0)
        return held_back

    @staticmethod
    def _print(message: str) -> None:
        # stderr may be None, closed, or a broken pipe: then there is nobody left to tell.
        try:
            stream = sys.stderr
            if stream is not None and not isinstance(stream, io.TextIOBase):
                # Something that the application or Celery has put in its place. It may log what is written to it.
                stream = sys.__stderr__
            line = f"logcollector-handler: {message}\n"
            with broken_pipes_raise():
                if (descriptor := _descriptor(stream)) is not None:
                    # Past the stream's buffer. After a broken pipe the line would be left in there, and written again
                    # at the end of the interpreter, when SIGPIPE is not blocked.
                    os.write(descriptor, line.encode(stream.encoding, "backslashreplace"))  # type: ignore[union-attr]
                else:
                    stream.write(line)  # type: ignore[union-attr]  # one that is None, too
                    stream.flush()  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - see above
            return


def _descriptor(stream: object) -> int | None:
    """Where a stream of the usual kind writes to. Streams of other kinds, as of notebooks, may write elsewhere."""
    try:
        return stream.fileno() if isinstance(stream, io.TextIOWrapper) else None
    except OSError:
        return None
