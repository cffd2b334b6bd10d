"""What a column of the server's table makes of a user's value: converts it where that is natural, else declines.

Each rule answers with the value for the column, or UNSET when the column cannot hold it, and whether the
value must (also) be kept whole in `metadata`. A rule may raise for a value whose own code fails.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import numbers
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET

from .model import DURATION_LIMIT, ENVIRONMENT_ALIASES, ENVIRONMENTS, LOG_TYPES, METHODS, TEXT_LIMITS

#: The value for the column or UNSET, and whether metadata keeps the value too.
Placed = tuple[Any, bool]
Rule = Callable[[Any], Placed]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it makes of a value."""

    rule: Rule
    #: A `str` of at most so many characters passes its rule unchanged, so that the rule need not be asked.
    width: int = -1


#: What is also made of a value whose rule raises: it is no number, or code of the application failed.
DECLINED: Final[Placed] = (UNSET, True)

_UUID: Final = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _as_text(value: Any) -> str | None:
    """Text, where a value has one that nobody would argue about."""
    if type(value) is str:
        return value
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(int(value)) if value.bit_length() < 1024 else None
    if isinstance(value, float):
        return str(float(value)) if math.isfinite(value) else None
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str.__str__(str(value))
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    return None


def _text(limit: int | None) -> Rule:
    def rule(value: Any) -> Placed:
        text = _as_text(value)
        if text is None:
            return DECLINED
        if limit is not None and len(text) > limit:
            return text[:limit], True
        return text, False

    return rule


def _identifier(limit: int) -> Rule:
    def rule(value: Any) -> Placed:
        text = _as_text(value)
        return DECLINED if text is None or len(text) > limit else (text, False)

    return rule


def _trace_id(value: Any) -> Placed:
    if isinstance(value, uuid.UUID):
        return value.hex, False
    text = _as_text(value)
    if text is None:
        return DECLINED
    if _UUID.fullmatch(text):
        text = text.replace("-", "")
    return DECLINED if len(text) > TEXT_LIMITS["trace_id"] else (text, False)


def _choice(allowed: tuple[str, ...], aliases: Mapping[str, str]) -> Rule:
    known = {each.lower(): each for each in allowed} | dict(aliases)

    def rule(value: Any) -> Placed:
        text = _as_text(value)
        found = known.get(text.strip().lower()) if text is not None else None
        return DECLINED if found is None else (found, False)

    return rule


def _duration(value: Any) -> Placed:
    if type(value) is float and abs(milliseconds := round(value, 3)) < DURATION_LIMIT:
        return milliseconds, False
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds() * 1000
    if isinstance(value, bool) or not isinstance(value, numbers.Number | decimal.Decimal | str):
        return DECLINED
    milliseconds = round(float(value), 3)  # type: ignore[arg-type]  # what is no real number raises
    return (milliseconds, False) if abs(milliseconds) < DURATION_LIMIT else DECLINED


#: Columns that a user's field of the same name can fill.
COLUMNS: Final[Mapping[str, Column]] = {
    "log_type": Column(_choice(LOG_TYPES, {})),
    "environment": Column(_choice(ENVIRONMENTS, ENVIRONMENT_ALIASES)),
    "method": Column(_choice(METHODS, {})),
    "trace_id": Column(_trace_id, TEXT_LIMITS["trace_id"]),
    "user_id": Column(_identifier(TEXT_LIMITS["user_id"]), TEXT_LIMITS["user_id"]),
    "session_id": Column(_identifier(TEXT_LIMITS["session_id"]), TEXT_LIMITS["session_id"]),
    **{
        name: Column(_text(TEXT_LIMITS[name]), TEXT_LIMITS[name])
        for name in (
            "service",
            "service_version",
            "error_type",
            "function_name",
            "file_path",
            "path",
            "action_type",
        )
    },
    "stack_trace": Column(_text(None)),
    "duration_ms": Column(_duration),
}
