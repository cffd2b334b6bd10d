"""What an answer means and how long to wait after it: the table of answers as pure functions.

No clock, no network and no state is in here. What a verdict does to a batch is decided by `suspects`, and done by
`settlement`.
"""

from __future__ import annotations

from datetime import timezone
from enum import Enum
from typing import Final

from msgspec import Struct

#: Seconds; the longest wait between two attempts.
BACKOFF_LIMIT: Final = 30.0
#: The same when the process ends: it begins with a tenth of a second, and a few seconds are left.
BACKOFF_LIMIT_AT_END: Final = 1.0
#: Seconds; the longest wait that a server can ask for with Retry-After.
RETRY_AFTER_LIMIT: Final = 300.0
#: Seconds between attempts while something is configured wrongly.
CONFIGURATION_RETRY: Final = 30.0


class Answer(Struct, frozen=True):
    """How a request ended.

    Attributes:
        status: the HTTP status of a complete answer; None if none came.
        arrived: the server may have got the whole request.
        detail: what happened, in words for people, without secrets.
        count: the number of entries that the server says it took, if it says so.
        rejected: of a 2xx, how many entries the server says it did not take and never will.
        why: why it did not, or what else it says of the entries, in its words, without secrets.
        retry_after: the header of that name.
        date: the header of that name.
        foreign: an HTML page: the word of a gateway or of another server, and not that of a log collection server.
        unusable: no request can get there, because a setting is wrong.
        check: the setting that a person must look at, where the error or the page names one.
        unfinished: the time of the request was over before the batch was sent.
        lost_before: the server may have got the request before, on a connection that it then closed.
    """

    status: int | None = None
    arrived: bool = False
    detail: str = ""
    count: int | None = None
    rejected: int = 0
    why: str = ""
    retry_after: str | None = None
    date: str | None = None
    foreign: bool = False
    unusable: bool = False
    check: str | None = None
    unfinished: bool = False
    lost_before: bool = False

    @property
    def lost(self) -> bool:
        """The server may have stored the batch, and its answer did not get here.

        A 502 or 504, and a page that says that something failed, is the word of a gateway; what the server behind it
        answered is not known.
        """
        if self.lost_before:
            return True
        page = self.foreign and (self.status or 0) >= 500 and self.status != 503
        return self.arrived and (self.status in (None, 502, 504) or page)


class Verdict(Enum):
    """What an answer says of the batch, of the server or of the settings."""

    #: The server has stored the batch.
    DELIVERED = "delivered"
    #: The server is away or asks for patience.
    RETRY = "retry"
    #: The server says that the batch is wrong.
    REFUSED = "refused"
    #: The server failed. That is its own fault or the batch's, and the answer does not tell which.
    SERVER_ERROR = "server error"
    #: The batch was not sent whole when the time was over: it is too large for the line.
    UNFINISHED = "unfinished"
    #: The server does not take compressed bodies, and this one was compressed.
    UNSUPPORTED_ENCODING = "unsupported encoding"
    #: Something is configured wrongly, here or there, and waiting does not help.
    CONFIGURATION = "configuration"


_RETRY: Final = frozenset({408, 409, 425, 429, 502, 503, 504})
_REFUSED: Final = frozenset({400, 413, 422})
#: Beside all from 500: an HTML page with one of these asks for patience. Others come of a wrong way to the server.
_RETRY_PAGE: Final = frozenset({408, 425, 429})


def classify(answer: Answer, *, compressed: bool) -> Verdict:
    """The verdict of an answer to a body that was compressed or was not."""
    status = answer.status
    if answer.unusable:
        return Verdict.CONFIGURATION
    if answer.unfinished:
        return Verdict.UNFINISHED
    if status is None:
        return Verdict.RETRY
    if answer.foreign:
        return _classify_page(status)
    if status in _RETRY:
        return Verdict.RETRY
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status in _REFUSED:
        return Verdict.REFUSED
    if status == 415 and compressed:
        return Verdict.UNSUPPORTED_ENCODING
    if status >= 500:
        return Verdict.SERVER_ERROR
    return Verdict.CONFIGURATION


def _classify_page(status: int) -> Verdict:
    """The verdict of an HTML page: it tells of the way to the server, and nothing of the records."""
    if status == 413:
        return Verdict.REFUSED
    return Verdict.RETRY if status >= 500 or status in _RETRY_PAGE else Verdict.CONFIGURATION


def advice(answer: Answer) -> str:
    """What a person should look at after a configuration error."""
    status = answer.status or 0
    if answer.check is not None:
        return f"check {answer.check}"
    if status in (401, 403):
        return "check api_key"
    if status == 407:
        return "check proxy"
    return "check server_url" if answer.foreign or 300 <= status < 400 or status in (404, 405) else "check the settings"


def backoff(failures: int, chance: float, *, ending: bool = False) -> float:
    """Seconds to wait after that many failures in a row: 1, 2, 4 … with jitter, 30 at most.

    When the process ends, 0.1, 0.2, 0.4 … with jitter, 1 at most.

    Args:
        failures: how many attempts failed in a row, at least 1.
        chance: a random number from 0 to 1. It moves the wait by up to a quarter either way, so that processes that
            lost their server at the same moment do not all come back at the same moment.
        ending: the process ends.
    """
    seconds = float(2 ** min(failures - 1, 10)) * (0.75 + 0.5 * chance)
    return min(BACKOFF_LIMIT_AT_END, seconds / 10) if ending else min(BACKOFF_LIMIT, seconds)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, clamped to 0 … 300; None where it is missing or cannot be read.

    Args:
        value: the header: seconds, or an HTTP date.
        now: Unix seconds.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # A number of ten digits is more than thirty years, and one of thousands is none that Python reads.
        seconds = float(value) if len(value) < 10 else RETRY_AFTER_LIMIT
    else:
        # Imported only where a server sends a date, which is rare: importing `email` takes milliseconds.
        from email.utils import parsedate_to_datetime

        try:
            date = parsedate_to_datetime(value)
            # HTTP dates are in GMT. The oldest of their forms does not say so.
            seconds = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(0.0, seconds), RETRY_AFTER_LIMIT)
