"""Walks through a value of any type and makes it plain: containers in containers, names of secrets, bytes it takes.

`values` says what one value becomes. A walk looks at about as much of a value as there is room for, however large the
value is, because it runs in the logging call. It counts the bytes of JSON roughly, and rather too few.
"""

from __future__ import annotations

import math
from collections.abc import ItemsView
from itertools import islice
from typing import Any, Final

import msgspec

from .marks import number_left_out
from .named import Named, is_pair, masked_mapping, masked_options, masked_pair
from .opening import opened
from .redact import MASK, Printed, Redactor
from .text import clean_text, key_text, safe_repr, unused, whole_number
from .values import BYTES, CONTAINERS, FIELDS, INT64, ITEMS, simple

#: Levels of containers in containers.
MAX_DEPTH: Final = 20
#: Bytes of JSON around a text, and around a name with the comma behind its value.
QUOTES: Final = 2
NAMED: Final = 4
#: Bytes of JSON that a field and an item of a list take at least.
SHORTEST_FIELD: Final = 6
_SHORTEST_ITEM: Final = 2
#: Of longer lists it is first seen whether C can encode them.
_MANY: Final = 64

_TOO_DEEP: Final = f"<nested deeper than {MAX_DEPTH} levels>"

encode: Final = msgspec.json.Encoder().encode


class FullError(BaseException):
    """The values do not fit. Not an Exception: those are caught on the way, as the application's code raises them."""


class UnreadableError(Exception):
    """A value with fields or items could not be read. The cause is what the application's code raised."""


class Walk:
    """Makes values plain: what JSON knows, without secrets. Raises FullError when they do not fit, and no Exception.

    Args:
        secret: whether the value under a name must be masked, and what of a text.
    """

    def __init__(self, secret: Redactor) -> None:
        #: Bytes of JSON that what was made so far takes, at least.
        self.used: int = 0
        self._secret = secret
        # Whether the text at hand is that of a URL, a query or the like.
        self._in_address = False
        #: Ids of the containers that are being walked through, to notice one inside itself.
        self._path: set[int] = set()

    def value(self, value: Any, room: int, depth: int) -> Any:
        """The value as dicts with text keys, lists, text, numbers, booleans and None, in `room` bytes."""
        kind = type(value)
        if kind is str:
            return self._text(value, room)
        if value is None or kind is bool:
            self.used += 4
            return value
        if kind is int:
            self.used += (value.bit_length() + 2) * 3 // 10
            return value if value in INT64 else whole_number(value)
        if kind is float:
            self.used += 3
            return value if math.isfinite(value) else None
        if kind is Named:
            return self.named(value.name, value.value, room, depth - 1)
        if kind is Printed:
            return self._text(str.__str__(value), room, printed=True)
        try:
            if kind not in CONTAINERS:
                plain = simple(value)
                if plain is not value:
                    return self.value(plain, room, depth)
                if isinstance(value, BYTES):
                    return self._bytes(value, room)
            return self._container(value, room, depth)
        except UnreadableError as error:
            return self._text(f"<{kind.__name__}, which could not be read: {type(error.__cause__).__name__}>", room)
        except Exception:  # noqa: BLE001 - code of the application runs in there
            return self._text(safe_repr(value), room, printed=True)

    def fields(self, pairs: list[tuple[Any, Any]], missing: int, room: int, depth: int) -> dict[str, Any]:
        """A JSON object. The values under secret names are masked. `missing` fields are not among the pairs."""
        if missing:
            raise FullError
        end = self.used + room - 1
        made: dict[str, Any] = {}
        for key, value in pairs:
            name = key_text(key)
            self.used += len(name) + NAMED
            made[unused(name, made)] = self.named(name, value, end - self.used, depth)
        self.used += 1
        if self.used > end + 1:
            raise FullError
        return made

    def items(self, items: list[Any], missing: int, room: int, depth: int) -> list[Any]:
        """A JSON array. `missing` items are not among these."""
        if missing:
            raise FullError
        end = self.used + room - 1
        made = []
        if encoded := numbers(items):
            self.used += len(encoded)
            made = items
        else:
            for item in items:
                made.append(self.value(item, end - self.used - 1, depth + 1))
                self.used += 1
            self.used += 1
        if self.used > end + 1:
            raise FullError
        return made

    def named(self, name: str, value: Any, room: int, depth: int) -> Any:
        """The value of a field: the one place where the fields of a record are masked by their names."""
        if self._secret(name):
            return self._text(MASK, room)
        outer = self._in_address
        self._in_address = outer or self._secret.is_address(name)
        try:
            return self.value(value, room, depth + 1)
        finally:
            self._in_address = outer

    def _text(self, text: str, room: int, *, printed: bool = False) -> str:
        """A text. What `repr` has printed may show the fields of an object, with names of secrets among them."""
        if len(text) + QUOTES > room:
            text = self._cut(text, room)
        text = clean_text(text)
        if printed or self._in_address:
            text = self._secret.masked(text)
        self.used += len(text) + QUOTES
        return text

    def _bytes(self, value: bytes | bytearray | memoryview, room: int) -> str:
        missing = len(value) - max(0, room)
        if missing <= 0:
            return self._text(bytes(value).decode("utf-8", "backslashreplace"), room)
        return self._text(self._cut_bytes(bytes(value[: max(0, room)]), missing), room)

    def _cut(self, text: str, room: int) -> str:
        raise FullError

    def _cut_bytes(self, beginning: bytes, missing: int) -> str:
        raise FullError

    def _container(self, value: Any, room: int, depth: int) -> Any:
        if id(value) in self._path:
            return self._text("<itself>", room)
        if depth > MAX_DEPTH:  # An object that opens into another object, which opens into another, and so on.
            return self._text(_TOO_DEEP, room)
        self._path.add(id(value))
        try:
            kind = type(value)
            inner = value if kind in CONTAINERS else opened(value, max(0, room) // _SHORTEST_ITEM)
            is_fields = kind is dict or (kind not in CONTAINERS and isinstance(inner, FIELDS))
            if not is_fields and kind not in CONTAINERS and not isinstance(inner, ITEMS):
                if type(inner) is kind:
                    return self._text(safe_repr(value), room, printed=True)
                return self.value(inner, room, depth + 1)
            if depth == MAX_DEPTH:
                return self._text(_TOO_DEEP, room)
            # Copies, because converting a value runs code of the application, which may change its container.
            if is_fields:
                most = max(0, room) // SHORTEST_FIELD + 1
                pairs = list(islice(inner.items() if kind is dict or not isinstance(inner, ItemsView) else inner, most))
                # Never less than none: a mapping may tell a wrong length, or be changed meanwhile.
                missing = max(0, len(inner) - len(pairs))
                if missing and kind is dict:
                    missing += _behind_mark(next(reversed(inner.values())))
                return self.fields(masked_mapping(pairs, self._secret) if depth else pairs, missing, room, depth)
            items = list(islice(inner, max(0, room) // _SHORTEST_ITEM + 1))
            missing = max(0, len(inner) - len(items))
            if missing and kind is list:
                missing += _behind_mark(inner[-1])
            if isinstance(inner, tuple) and is_pair(items):
                # Also a pair afterwards: what is bound is made plain twice, and the second time has to see it.
                return tuple(self.items(masked_pair(items, self._secret), missing, room, depth))
            return self.items(masked_options(items, self._secret), missing, room, depth)
        except Exception as error:
            raise UnreadableError from error
        finally:
            self._path.discard(id(value))


def _behind_mark(last: Any) -> int:
    """How many more values are missing than are left out now, if the last of these is the mark of an earlier cut."""
    return max(0, number_left_out(last) - 1)


def numbers(items: list[Any]) -> bytes:
    """The JSON of a long list of nothing but numbers, which takes much less time than to walk through it; else b""."""
    if len(items) <= _MANY:
        return b""
    kinds = set(map(type, items))
    if kinds <= {float, bool, type(None)} or (kinds <= {int, bool} and min(items) in INT64 and max(items) in INT64):
        return encode(items)
    return b""
