"""What a column makes of a user's value: converts it where that is natural, else declines it.

The rule of a column follows from its kind in `model`; a column whose values need more than that has a rule of its own
here (`trace_id`). A rule returns a pair: the value for the column, or UNSET when the column cannot hold it; and whether
`metadata` must keep the value whole as well. A rule may raise when the value's own code raises; callers take that as
DECLINED.
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
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import UNSET

from .model import (
    COLUMNS,
    DURATION_LIMIT,
    ENVIRONMENT_ALIASES,
    TEXT_LIMITS,
    Choice,
    Duration,
    Identifier,
    Kind,
    Text,
)

#: What is true of a value that `metadata` keeps unchanged: it is an exact `str` without a secret in it.
AS_IT_IS: Final = 1
#: The value for the column or UNSET, and whether `metadata` keeps the value too: False, True or AS_IT_IS.
Placed = tuple[Any, bool | int]
Rule = Callable[[Any], Placed]


class Column(msgspec.Struct, frozen=True):
    """A column that a user's field of the same name can fill."""

    rule: Rule
    #: A `str` of at most this many characters passes the rule unchanged, so the rule need not be called.
    width: int = -1


#: The column cannot hold the value: it goes to `metadata` only.
DECLINED: Final[Placed] = (UNSET, True)

_UUID: Final = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _as_text(value: Any) -> str | None:
    """The value as text if it has one obvious text form, else None."""
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
    milliseconds = round(float(value), 3)  # type: ignore[arg-type]  # a Number that is not real raises here
    return (milliseconds, False) if abs(milliseconds) < DURATION_LIMIT else DECLINED


#: Columns whose values need more than the rule of their kind.
_SPECIAL: Final[Mapping[str, Rule]] = {"trace_id": _trace_id}
_ALIASES: Final[Mapping[str, Mapping[str, str]]] = {"environment": ENVIRONMENT_ALIASES}
#: Columns that come from the record alone, or (`metadata`) take whatever has no column.
_NOT_THE_USERS: Final = frozenset({"level", "message", "created_at", "metadata"})


def _rule(name: str, kind: Kind) -> Rule:
    match kind:
        case Text(limit):
            return _text(limit)
        case Identifier(limit):
            return _SPECIAL.get(name) or _identifier(limit)
        case Choice(values):
            return _choice(values, _ALIASES.get(name, {}))
        case Duration():
            return _duration
    raise TypeError(f"No user's field can fill the column {name!r}: nothing converts values to {kind!r}.")


#: Columns that a user's field of the same name can fill.
FILLABLE: Final[Mapping[str, Column]] = MappingProxyType(
    {
        name: Column(_rule(name, kind), TEXT_LIMITS.get(name, -1))
        for name, kind in COLUMNS.items()
        if name not in _NOT_THE_USERS
    }
)
