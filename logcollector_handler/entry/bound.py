"""Fields that a context gives to every record in it (`bind_context`): prepared once, when they are bound.

Done here is what follows from the fields alone: which columns they fill, and a copy of values that can change. What
also depends on a handler (its secret names and limits) is done by the handler's `FieldPlacer` at the first record that
has the fields, and kept in `Bound.ready`.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from .columns import DECLINED, FILLABLE, Placed
from .redact import Printed, Redactor
from .text import key_text, unused
from .values import Cleaner

#: Immutable types, kept as they are. Values of other types are made plain at once, which copies them.
_LASTING: Final = frozenset(
    {str, int, float, bool, bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {decimal.Decimal, uuid.UUID}
)
#: Longest text inside a value that is made plain, in characters.
_MAX_TEXT: Final = 256 * 1024

#: The value for the column that has the field's name, or UNSET; whether `metadata` has the field too; its value there.
Field = tuple[Any, bool, Any]


class _Later(Redactor):
    """Masks nothing: each handler will, by its own names. It marks what each handler must look into."""

    def masked(self, text: str) -> str:
        return Printed(text)


class Bound:
    """Fields as they were when they were bound. Only `ready` changes."""

    __slots__ = ("fields", "ready")

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields
        #: What each handler made of the fields, under a key that the handler chooses.
        self.ready: dict[object, Any] = {}


def bound(before: Bound | None, fields: Mapping[str, Any]) -> Bound | None:
    """These fields on top of those that are bound already. Returns None when no field is left.

    A field whose value is None removes the field of that name. Never raises an Exception, whatever the values are.
    """
    made = {} if before is None else dict(before.fields)
    cleaner = Cleaner(_Later(()), _MAX_TEXT)
    for given, value in fields.items():
        name = key_text(given)
        made.pop(name, None)
        if value is None:
            continue
        # By type: `isinstance` may call a property `__class__`, which is code of the application.
        plain = value if type(value) in _LASTING else cleaner.value(value, 1)
        if name == "metadata" and issubclass(type(value), dict) and isinstance(plain, dict):
            for inner, each in plain.items():
                made[unused(inner, fields)] = (UNSET, True, each)
        else:
            placed, kept = _placed(name, value)
            made[name] = (placed, bool(kept), plain)
    return Bound(made) if made else None


def _placed(name: str, value: Any) -> Placed:
    column = FILLABLE.get(name)
    try:
        return DECLINED if column is None else column.rule(value)
    except Exception:  # noqa: BLE001 - the value is no number, or its own code failed
        return DECLINED
