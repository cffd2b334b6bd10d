"""What JSON makes of a value of each type.

===========================================  =====================================================
value                                        JSON
===========================================  =====================================================
str                                          text; U+0000 and lone surrogates become U+FFFD
bool, None, float, int up to 64 bits         the same; NaN and infinities become null
longer int                                   text
dict, any Mapping                            object; keys as text
list, tuple, set, frozenset, deque           array
bytes, bytearray, memoryview                 text, as UTF-8; other bytes as `\\xff`
datetime, date, time                         ISO 8601
timedelta, Decimal, UUID, Path               their text
Enum                                         its value
dataclass, attrs, Struct, named tuple        object of its fields
pydantic model                               what `model_dump()` gives
numpy scalar, numpy array                    its Python value
exception                                    `Type: message`
request of a web framework                   its method and path, see `requests`
anything else                                its `repr`; its type if that fails
===========================================  =====================================================

An object with fields that cannot be read is named by its type only, because its `repr` could show a secret. Keys and
long text are dealt with in `text`, what is inside of containers in `encoding`.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import os
import uuid
from collections import deque
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final

from .marks import MORE, items_left_out, left_out
from .redact import Hidden
from .requests import opened_request
from .text import key_text, safe_text

#: Types that JSON knows and that need no look at the value.
SCALARS: Final = frozenset({str, bool, float, type(None)})
#: Whole numbers of up to 64 bits, with or without a sign. Longer ones become text: few JSON readers take them.
INT64: Final = range(-(2**63), 2**64)
#: What is walked through: objects and arrays. The usual ones need no conversion.
FIELDS: Final = (Mapping, ItemsView)
ITEMS: Final = (list, tuple, set, frozenset, deque, KeysView, ValuesView)
CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset, deque})
BYTES: Final = (bytes, bytearray, memoryview)
#: Types whose `str` says all that there is.
_SAID: Final = (datetime.timedelta, decimal.Decimal, uuid.UUID)
_TIMES: Final = (datetime.date, datetime.time)
_NUMBERS: Final = (int, float)


def simple(value: Any) -> Any:
    """A value that holds no others as text or number, an Enum as its value; anything else as it is.

    Raises what the value's own code raises.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value.shown if isinstance(value, Hidden) else value)
    if isinstance(value, _NUMBERS):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, _TIMES):
        return str.__str__(value.isoformat())
    if isinstance(value, _SAID):
        return str.__str__(str(value))
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {safe_text(value, str)}"
    return value


def opened(value: Any, most: int) -> Any:
    """An object with fields as a mapping of them, a wrapper as the plain value inside it, anything else as it is.

    At most about `most` values are read of an array. Raises what the value's own code raises.
    """
    kind = type(value)
    if kind is not dict and kind is not list and (request := opened_request(value)) is not None:
        return request
    if isinstance(value, (Mapping, list, set, frozenset, deque, type)):  # not tuples: named ones have fields
        return value
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
        return dict(zip(names, value, strict=False)) if isinstance(names, tuple) else value
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return _attributes(value, [each.name for each in dataclasses.fields(value)])
    if hasattr(kind, "__struct_fields__"):
        return _attributes(value, kind.__struct_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        return _attributes(value, [each.name for each in kind.__attrs_attrs__])
    if hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        return value.model_dump()
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        return value.tolist() if getattr(value, "size", 0) <= most else _beginning(value, most)
    return value


def merged(value: Any, most: int) -> list[tuple[str, Any]] | None:
    """The fields in a user's field `metadata`, which become fields of `metadata` itself; None if it is no dict.

    Of more than about `most` the others are left out, with a mark. None also for a dict that cannot be read.
    """
    # By type: `isinstance` may call a property `__class__`, which is code of the application.
    if not issubclass(type(value), dict):
        return None
    try:
        fields = [(key_text(key), each) for key, each in islice(value.items(), most)]
        missing = len(value) - len(fields)
    except Exception:  # noqa: BLE001 - code of the application
        return None
    return [*fields, (MORE, left_out(missing))] if missing > 0 else fields


def _beginning(array: Any, most: int) -> list[Any]:
    """The first rows of a large array, which are opened in their turn if they are arrays, and a mark."""
    rows = array[:most]
    missing = len(array) - len(rows)
    return [*(rows.tolist() if array.ndim == 1 else rows), *([items_left_out(missing)] if missing else [])]


def _attributes(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The attributes of those names, without those that have not been set yet."""
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
