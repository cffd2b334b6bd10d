"""Reads the time that a TimeStamper wrote. What does not say a whole time, to the second, is left to be a field.

A timestamp of minutes or days would move the event, and so would one that can be read in two ways: `12:03.07` is three
minutes and seven seconds to whoever configured it, and 3.07 minutes in ISO 8601.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from typing import Any, Final

from logcollector_handler.entry.model import CREATED_AT_LIMIT

#: Date, time of day to the second, its fraction, and the zone.
_WHOLE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(?:([Zz]|UTC|GMT)|([+-]\d\d):?(\d\d))?", re.ASCII
)
#: A timestamp without fractions of a second names a whole second. If that began less than this many seconds ago, the
#: event is taken for a new one, whose time is the last moment of that second that has come. An older one is as written.
_NEW: Final = 2.0
#: A time without a zone counts only if it is this close to the present in UTC or in local time, in seconds. Zones are
#: further apart, so no more than one of the two is.
_NEAR: Final = 300.0


def seconds(stamp: Any, now: float) -> float | None:
    """The time that a TimeStamper wrote, in Unix seconds; None if `stamp` is not a time."""
    kind = type(stamp)
    if kind is float:
        return stamp if 0 <= stamp < CREATED_AT_LIMIT else None
    if kind is int:
        return _exact(float(stamp), now, coarse=True) if 0 <= stamp < CREATED_AT_LIMIT else None
    if kind is str:
        stamp = _moment(stamp)
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if type(stamp) is datetime.datetime:
            return _of_moment(stamp, now)
    return None


def _moment(text: str) -> datetime.datetime | None:
    """The date and time that a text says; None if it does not say a whole one."""
    # The usual form of ISO 8601 (`2026-11-26T16:02:44.123456Z`), faster than by the pattern.
    if text[4:8:3] == "--" and text[10:11] in ("T", " ") and text[13:17:3] == "::":
        with contextlib.suppress(ValueError):
            # fromisoformat of Python 3.10 does not read the Z.
            return datetime.datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] == "Z" else text)
    if found := _WHOLE.fullmatch(text):
        day, clock, fraction, utc, hours, minutes = found.groups()
        # Python 3.10 reads an offset with a colon only, and three or six digits of a fraction.
        zone = "+00:00" if utc else f"{hours}:{minutes}" if hours else ""
        with contextlib.suppress(ValueError):
            return datetime.datetime.fromisoformat(f"{day}T{clock}.{(fraction or '').ljust(6, '0')[:6]}{zone}")
    return None


def _of_moment(moment: datetime.datetime, now: float) -> float | None:
    if moment.tzinfo is not None:
        read = moment.timestamp()
    else:
        # In the hour that a change of clocks repeats, local time is two times.
        local = [moment.replace(fold=each).timestamp() for each in (0, 1)]
        utc = moment.replace(tzinfo=datetime.timezone.utc).timestamp()
        read = min(*local, utc, key=lambda each: abs(each - now))
        if abs(read - now) > _NEAR:
            return None
    return _exact(read, now, coarse=not moment.microsecond) if 0 <= read < CREATED_AT_LIMIT else None


def _exact(read: float, now: float, *, coarse: bool) -> float:
    return min(now, math.nextafter(read + 1.0, read)) if coarse and 0 <= now - read < _NEW else read
