"""What an answer means and how long to wait: pure functions of numbers, without clock, network or state."""

from __future__ import annotations

from datetime import timezone
from enum import Enum
from typing import Final

#: Seconds; the longest wait between two attempts.
BACKOFF_LIMIT: Final = 30.0
#: Seconds; the longest wait that a server can ask for with Retry-After.
RETRY_AFTER_LIMIT: Final = 300.0
#: Seconds between attempts while something is configured wrongly.
CONFIGURATION_RETRY: Final = 30.0
#: That many lone records refused, and nothing accepted in between: it is the configuration, not the records.
REFUSALS_IN_A_ROW: Final = 20


class Verdict(Enum):
    """What the sender makes of a complete answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    SERVER_ERROR = "server error"
    UNSUPPORTED_ENCODING = "unsupported encoding"
    CONFIGURATION = "configuration"


_RETRY = frozenset({408, 409, 425, 429, 502, 503, 504})
_REFUSED = frozenset({400, 413, 422})


def classify(status: int) -> Verdict:
    """The verdict for an HTTP status, from the delivery contract's table of answers."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status in _RETRY:
        return Verdict.RETRY
    if status in _REFUSED:
        return Verdict.REFUSED
    if status == 415:
        return Verdict.UNSUPPORTED_ENCODING
    if status >= 500:
        return Verdict.SERVER_ERROR
    return Verdict.CONFIGURATION


def backoff(failures: int, chance: float) -> float:
    """Seconds to wait after that many failures in a row (from 1): 1, 2, 4 … with jitter, 30 at most.

    Args:
        failures: how many attempts failed in a row, at least 1.
        chance: a random number from 0 to 1. It moves the wait by up to a quarter either way, so that
            processes that lost their server together do not come back together.
    """
    seconds = float(2 ** min(failures - 1, 10))
    return min(BACKOFF_LIMIT, seconds * (0.75 + 0.5 * chance))


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, clamped to 0 … 300; None without one that can be read.

    Args:
        value: the header: seconds, or an HTTP date.
        now: Unix seconds.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # More digits than a time can have: int() refuses thousands of them.
        seconds = float(value) if len(value) < 10 else RETRY_AFTER_LIMIT
    else:
        # Imported where a server sends a date, which is rare: `email` is not for free.
        from email.utils import parsedate_to_datetime

        try:
            date = parsedate_to_datetime(value)
            # A date of HTTP is in GMT, also where it does not say so.
            seconds = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(0.0, seconds), RETRY_AFTER_LIMIT)
