"""Points in time as people write them: `-1h`, an ISO date, Unix seconds. Pure: no I/O, no clock."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final

#: What people are told when a text is none of these.
WRITTEN: Final = "a time is -15m, -1h or -7d, an ISO date as 2026-01-31T12:00 (with Z or +02:00), or Unix seconds"
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_AGO: Final = re.compile(r"-([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])")
#: Seconds as a number without a sign are under this many; more digits are refused, as they are milliseconds.
_LIMIT: Final = 100_000_000_000


def seconds(text: str, now: float) -> float | None:
    """The Unix seconds that `text` stands for at `now`; None if it is not a time.

    A date without a zone is in the zone of this machine.
    """
    plain = text.strip()
    if plain == "now":
        return now
    ago = _AGO.fullmatch(plain)
    if ago is not None:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        number = float(plain)
    except ValueError:
        return _date(plain)
    return number if math.isfinite(number) and abs(number) < _LIMIT else None


def _date(text: str) -> float | None:
    if not text.isascii():
        return None
    # Python 3.10 knows neither `Z` nor a fraction of other than three or six digits.
    text = re.sub(r"[zZ]$", "+00:00", text)
    text = re.sub(r"\.([0-9]{1,6})[0-9]*", lambda found: f".{found[1]:0<6}", text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
