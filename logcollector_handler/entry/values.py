"""Any Python value as JSON that the server takes: bounded, without secrets, and never an error.

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
numpy scalar, small numpy array              its Python value
exception                                    `Type: message`
anything else                                its `repr`; its type if that fails
===========================================  =====================================================

Beyond a depth, a number of values or a length of text the rest is left out, and a note in its place says so. An object
with fields that cannot be read is named by its type only, because its `repr` could show a secret. Keys and long text
are dealt with in `text`, names of secrets in `redact`.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import os
import uuid
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from .redact import MASK, Hidden
from .text import clean_text, key_text, safe_repr, safe_text, shortened, unused, whole_number

#: Levels of containers in containers.
MAX_DEPTH: Final = 20
#: Values that a Cleaner converts, those inside of containers included.
MAX_VALUES: Final = 5_000
#: All the text that a Cleaner lets pass is at most this many times as long as one text may be.
_ROOM: Final = 4

_SCALARS: Final = frozenset({str, bool, float, type(None)})
#: Whole numbers of up to 64 bits, with or without a sign. Longer ones become text: few JSON readers take them.
INT64: Final = range(-(2**63), 2**64)

#: How U+0000 looks in JSON. A text that holds a backslash before these letters looks the same; cleaning it then
#: changes nothing.
_NUL: Final = b"\\u0000"
_TOO_DEEP: Final = f"<nested deeper than {MAX_DEPTH} levels>"

encode: Final = msgspec.json.Encoder().encode


def encode_fields(fields: dict[str, Any], secret: Callable[[str], bool], max_bytes: int) -> bytes:
    """The fields as a JSON object, usually of at most `max_bytes`. Never raises an Exception.

    Names must be exact `str`. The values of fields with a secret name must be masked already; `secret` tells the
    secret names at any depth below.
    """
    cleaner: Cleaner | None = None
    plain = fields
    for name, value in fields.items():
        kind = type(value)
        if kind in _SCALARS or (kind is int and value in INT64):
            continue
        if cleaner is None:
            cleaner = Cleaner(secret, max_bytes)
            plain = dict(fields)
        plain[name] = cleaner.value(value, 1)
    try:
        encoded = encode(plain)
    except Exception:  # noqa: BLE001 - a text holds a lone surrogate
        encoded = _NUL
    if len(encoded) <= max_bytes and _NUL not in encoded:
        return encoded
    return encode(Cleaner(secret, max_bytes).mapping(fields, 0))


class Cleaner:
    """Makes the values of one record plain: what JSON knows, bounded, without secrets.

    It counts what it made, so that the bounds hold for all values of the record together; the next record needs a new
    Cleaner. No method raises an Exception.

    Args:
        secret: whether the value under a name must be masked.
        max_text: longest that one text may be, in characters.
    """

    def __init__(self, secret: Callable[[str], bool], max_text: int) -> None:
        self._secret = secret
        self._max_text = max_text
        self._room = max_text * _ROOM
        self._left = MAX_VALUES
        #: Ids of the containers that are being converted, to notice one inside itself.
        self._path: set[int] = set()

    def value(self, value: Any, depth: int = 0) -> Any:
        """The value as dicts with text keys, lists, text, numbers, booleans and None."""
        self._left -= 1
        kind = type(value)
        if kind is str:
            return self.text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value in INT64 else whole_number(value)
        if kind is float:
            return value if math.isfinite(value) else None
        try:
            return self._converted(value, depth)
        except _UnreadableError as error:
            return f"<{kind.__name__}, which could not be read: {type(error.__cause__).__name__}>"
        except Exception:  # noqa: BLE001 - code of the application runs in there
            return self.text(safe_repr(value))

    def text(self, text: str) -> str:
        """The text as the server can store it, cut to the room that is left."""
        text = str.__str__(text)
        if len(text) > self._max_text or len(text) > self._room:
            text = shortened(text, min(self._max_text, self._room))
        text = clean_text(text)
        self._room = max(0, self._room - len(text))
        return text

    def mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """A JSON object, with the values under secret names masked."""
        made: dict[str, Any] = {}
        # A copy, because converting a value runs code of the application, which may change the mapping.
        for key, value in list(islice(mapping.items(), max(0, self._left) + 1)):
            # The record's own fields (depth 0) are all kept, even when the value of one of them used up the budget.
            if self._left <= 0 and (depth or len(made) >= MAX_VALUES):
                made[unused("…", made)] = f"{len(mapping) - len(made)} more left out"
                break
            name = key_text(key)
            if self._secret(name):
                self._left -= 1
                made[unused(name, made)] = MASK
            else:
                made[unused(name, made)] = self.value(value, depth + 1)
        return made

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.value(value.value, depth)
        if isinstance(value, str):
            return self.text(value.shown if isinstance(value, Hidden) else value)
        if isinstance(value, int | float):
            return self.value(int(value) if isinstance(value, int) else float(value), depth)
        if isinstance(value, datetime.date | datetime.time):
            return self.text(value.isoformat())
        if isinstance(value, datetime.timedelta | decimal.Decimal | uuid.UUID):
            return self.text(str(value))
        if isinstance(value, os.PathLike):
            return self.text(os.fsdecode(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value[: self._max_text]).decode("utf-8", "backslashreplace"))
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {safe_text(value, str)}")
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self._path:
            return "<itself>"
        if depth > MAX_DEPTH:  # An object that opens into another object, which opens into another, and so on.
            return _TOO_DEEP
        self._path.add(id(value))
        try:
            opened = _opened(value)
            if not isinstance(opened, Mapping | list | tuple | set | frozenset | deque):
                return self.text(safe_repr(value)) if type(opened) is type(value) else self.value(opened, depth + 1)
            if depth == MAX_DEPTH:
                return _TOO_DEEP
            return self.mapping(opened, depth) if isinstance(opened, Mapping) else self._items(opened, depth)
        except Exception as error:
            raise _UnreadableError from error
        finally:
            self._path.discard(id(value))

    def _items(self, items: Any, depth: int) -> list[Any]:
        made: list[Any] = []
        for item in list(islice(items, max(0, self._left) + 1)):
            if self._left <= 0:
                made.append(f"… {len(items) - len(made)} more left out")
                break
            made.append(self.value(item, depth + 1))
        return made


class _UnreadableError(Exception):
    """A value with fields or items could not be read. The cause is what the application's code raised."""


def _opened(value: Any) -> Any:
    """An object with fields as a mapping of them, a wrapper as the plain value inside it, anything else as it is."""
    kind = type(value)
    if isinstance(value, Mapping | list | set | frozenset | deque | type):
        return value
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
        return dict(zip(names, value, strict=False)) if isinstance(names, tuple) else value
    if isinstance(value, ItemsView):
        return dict(value)
    if isinstance(value, KeysView | ValuesView):
        return list(value)
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if hasattr(kind, "__structlog__"):  # What structlog's JSONRenderer calls.
        return value.__structlog__()
    if dataclasses.is_dataclass(value):
        return _attributes(value, [each.name for each in dataclasses.fields(value)])
    if hasattr(kind, "__struct_fields__"):
        return _attributes(value, kind.__struct_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        return _attributes(value, [each.name for each in kind.__attrs_attrs__])
    if hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        return value.model_dump()
    if hasattr(kind, "dtype") and hasattr(kind, "tolist") and getattr(value, "size", MAX_VALUES) < MAX_VALUES:
        return value.tolist()
    return value


def _attributes(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The attributes of those names, without those that have not been set yet."""
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
