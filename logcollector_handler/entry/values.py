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

import datetime
import decimal
import enum
import math
import os
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from .opening import opened
from .redact import MASK, Hidden, Printed, Redactor
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

#: Under what keys a mapping has a name and its value.
_NAME: Final = ("name", "Name", "key", "Key")
_VALUE: Final = frozenset({"value", "Value"})

encode: Final = msgspec.json.Encoder().encode


def encode_fields(fields: dict[str, Any], secret: Redactor, max_bytes: int) -> bytes:
    """The fields as a JSON object, usually of at most `max_bytes`. Never raises an Exception.

    Names must be exact `str`. The values of fields with a secret name must be masked already; `secret` tells the
    secret names at any depth below.
    """
    cleaner: Cleaner | None = None
    plain = fields
    for name, value in fields.items():
        kind = type(value)
        if (kind in _SCALARS or (kind is int and value in INT64)) and not secret.is_address(name):
            continue
        if cleaner is None:
            cleaner = Cleaner(secret, max_bytes)
            plain = dict(fields)
        plain[name] = cleaner.under(name, value, 1)
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

    def __init__(self, secret: Redactor, max_text: int) -> None:
        self._secret = secret
        self._max_text = max_text
        self._room = max_text * _ROOM
        self._left = MAX_VALUES
        #: Ids of the containers that are being converted, to notice one inside itself.
        self._path: set[int] = set()
        # Whether the text at hand is that of a URL, a query or the like.
        self._in_address = False

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
            return self._printed(value)

    def text(self, text: str) -> str:
        """The text as the server can store it, cut to the room that is left."""
        text = str.__str__(text)
        if len(text) > self._max_text or len(text) > self._room:
            text = shortened(text, min(self._max_text, self._room))
        text = clean_text(text)
        if self._in_address:
            text = self._secret.masked(text)
        self._room = max(0, self._room - len(text))
        return text

    def _printed(self, value: object) -> str:
        """The value's `repr`, which may show its fields."""
        return self._secret.masked(self.text(safe_repr(value)))

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
            if self._secret(name) or (name in _VALUE and depth and _is_named_secret(mapping, self._secret)):
                self._left -= 1
                made[unused(name, made)] = MASK
            else:
                made[unused(name, made)] = self.under(name, value, depth + 1)
        return made

    def under(self, name: str, value: Any, depth: int) -> Any:
        """The value of a field that is no secret. If its name says that there can be a URL in it, all its text is."""
        outer = self._in_address
        self._in_address = outer or self._secret.is_address(name)
        try:
            return self.value(value, depth)
        finally:
            self._in_address = outer

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.value(value.value, depth)
        if isinstance(value, Printed):
            return self._secret.masked(self.text(value))
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
            inside = opened(value)
            if not isinstance(inside, Mapping | list | tuple | set | frozenset | deque):
                return self._printed(value) if type(inside) is type(value) else self.value(inside, depth + 1)
            if depth == MAX_DEPTH:
                return _TOO_DEEP
            return self.mapping(inside, depth) if isinstance(inside, Mapping) else self._items(inside, depth)
        except Exception as error:
            raise _UnreadableError from error
        finally:
            self._path.discard(id(value))

    def _items(self, items: Any, depth: int) -> Any:
        if isinstance(items, tuple) and _is_pair(items):
            return self._pair(items, depth)
        made: list[Any] = []
        is_of_option = False
        for item in list(islice(items, max(0, self._left) + 1)):
            if self._left <= 0:
                made.append(f"… {len(items) - len(made)} more left out")
                break
            # A list of two is a pair among others only: alone, it can be a list of two names.
            if type(item) is list and _is_pair(item):
                made.append(self._pair(item, depth + 1))
            else:
                made.append(MASK if is_of_option else self.value(item, depth + 1))
            # A command: the next one is the value of `--password`.
            is_of_option = type(item) is str and item.startswith("--") and self._secret(item)
        # What is bound is made plain twice, and the second time has to see which pairs are.
        return tuple(made) if isinstance(items, tuple) else made

    def _pair(self, pair: Sequence[Any], depth: int) -> tuple[Any, Any]:
        """A name and a value, as in a list of headers."""
        name = key_text(pair[0])
        self._left -= 1
        return self.value(pair[0], depth + 1), MASK if self._secret(name) else self.under(name, pair[1], depth + 1)


def _is_pair(items: Sequence[Any]) -> bool:
    return len(items) == 2 and isinstance(items[0], str | bytes)


def _is_named_secret(mapping: Mapping[Any, Any], secret: Redactor) -> bool:
    """Whether a mapping is a pair, as in a list of headers or of variables, and its name that of a secret."""
    for key in _NAME:
        name = mapping.get(key)
        if isinstance(name, str | bytes) and secret(key_text(name)):
            return True
    return False


class _UnreadableError(Exception):
    """A value with fields or items could not be read. The cause is what the application's code raised."""
