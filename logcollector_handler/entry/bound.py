"""Fields that a context gives to every record in it: taken apart once, when they are bound.

What depends on the fields alone is worked out here. What depends on the handler as well (secret names, limits)
each `EntryBuilder` works out at its first record with them and keeps in `ready`.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from .columns import COLUMNS, DECLINED, Placed
from .values import Cleaner, key_text, unused

#: Values that nobody can change; others are made plain, which takes a snapshot of them.
_LASTING: Final = frozenset(
    {str, int, float, bool, bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {decimal.Decimal, uuid.UUID}
)
#: Longest text in a value that is made plain, in characters.
_MAX_TEXT: Final = 256 * 1024

#: The value for the column of the field's name or UNSET, whether `metadata` keeps it too, and the value for that.
Field = tuple[Any, bool, Any]


class Bound:
    """Fields as they were when they were bound. It does not change."""

    __slots__ = ("fields", "ready")

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields
        #: What builders made of the fields, each under a key of its own.
        self.ready: dict[object, Any] = {}


def bound(before: Bound | None, fields: Mapping[str, Any]) -> Bound | None:
    """What is bound when these fields come on top of others. A field that is None goes; None when none is left.

    Never raises, whatever the values are.
    """
    made = {} if before is None else dict(before.fields)
    cleaner = Cleaner(lambda name: False, _MAX_TEXT)
    for given, value in fields.items():
        name = key_text(given)
        made.pop(name, None)
        if value is None:
            continue
        # By type: `isinstance` asks an object for its class, and that is code of the application.
        plain = value if type(value) in _LASTING else cleaner.value(value, 1)
        if name == "metadata" and issubclass(type(value), dict) and isinstance(plain, dict):
            for inner, each in plain.items():
                made[unused(inner, fields)] = (UNSET, True, each)
        else:
            placed, kept = _placed(name, value)
            made[name] = (placed, kept, plain)
    return Bound(made) if made else None


def _placed(name: str, value: Any) -> Placed:
    column = COLUMNS.get(name)
    try:
        return DECLINED if column is None else column.rule(value)
    except Exception:  # noqa: BLE001 - no number, or code of the application
        return DECLINED
