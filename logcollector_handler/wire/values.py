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
dataclass, attrs, msgspec.Struct             object of its fields
pydantic model                               what `model_dump()` gives
numpy scalar, small numpy array              its Python value
exception                                    `Type: message`
anything else                                its `repr`; its type if that fails
===========================================  =====================================================

Past a depth, a number of values or a length the rest is left out, and says so in its place.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import os
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from .redact import MASK

MAX_DEPTH: Final = 20
MAX_VALUES: Final = 5_000
MAX_REPR: Final = 4_000
#: How deep a `repr` that logs may have us in it again before only types are named.
_MAX_REENTRY: Final = 2

#: What PostgreSQL's text and UTF-8 cannot hold.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_SCALARS: Final = frozenset({str, bool, float, type(None)})
_INT64: Final = range(-(2**63), 2**64)

encode: Final = msgspec.json.Encoder().encode


def clean_text(text: str) -> str:
    """The text, an exact `str`, with what the server cannot store replaced, character by character."""
    return _UNSTORABLE.sub("�", text) if _UNSTORABLE.search(text) else str.__str__(text)


def encode_fields(fields: dict[str, Any], secret: Callable[[str], bool], max_bytes: int) -> bytes:
    """The fields as a JSON object. Never raises, whatever they are."""
    for value in fields.values():
        if type(value) not in _SCALARS and (type(value) is not int or value not in _INT64):
            break
    else:
        # The usual case, in one C call. Keys were looked at by the caller.
        try:
            encoded = encode(fields)
        except Exception:  # noqa: BLE001 - a surrogate, or a key that is no exact str: cleaned below
            encoded = b"\\u0000"
        if len(encoded) <= max_bytes and b"\\u0000" not in encoded:
            return encoded
    return encode(Cleaner(secret, max_bytes).mapping(fields, 0))


class Cleaner:
    """Makes one record's values plain. It counts, so it is made for each record anew."""

    def __init__(self, secret: Callable[[str], bool], max_text: int) -> None:
        self._secret = secret
        self._max_text = max_text
        self._left = MAX_VALUES
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
            return value if value in _INT64 else _long_number(value)
        if kind is float:
            return value if math.isfinite(value) else None
        try:
            return self._converted(value, depth)
        except Exception:  # noqa: BLE001 - code of the application runs in there
            return self.text(safe_repr(value))

    def text(self, text: str) -> str:
        """Text that can be stored, of bounded length."""
        if len(text) > self._max_text:
            text = shortened(text, self._max_text)
        return clean_text(text)

    def mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """An object, with the values of secret names masked."""
        made: dict[str, Any] = {}
        for key, value in mapping.items():
            if self._left <= 0:
                made["…"] = f"{len(mapping) - len(made)} more left out"
                break
            name = self.text(key if type(key) is str else _key(key))
            while name in made:
                name += "'"
            made[name] = MASK if self._secret(name) else self.value(value, depth + 1)
        return made

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.value(value.value, depth)
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, int | float):
            return self.value(int(value) if isinstance(value, int) else float(value), depth)
        if isinstance(value, datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, datetime.timedelta | decimal.Decimal | uuid.UUID | os.PathLike):
            return self.text(str(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value[: self._max_text]).decode("utf-8", "backslashreplace"))
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {value}")
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self._path:
            return "<itself>"
        fields = _fields(value)
        if fields is None and not isinstance(value, list | tuple | set | frozenset | deque):
            plain = _unwrapped(value)
            return self.text(safe_repr(value)) if plain is value else self.value(plain, depth)
        if depth >= MAX_DEPTH:
            return f"<nested deeper than {MAX_DEPTH} levels>"
        self._path.add(id(value))
        try:
            if fields is not None:
                return self.mapping(fields, depth)
            return self._items(value, depth)
        finally:
            self._path.discard(id(value))

    def _items(self, items: Any, depth: int) -> list[Any]:
        made = []
        for item in items:
            if self._left <= 0:
                made.append(f"… {len(items) - len(made)} more left out")
                break
            made.append(self.value(item, depth + 1))
        return made


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What has named fields, as a mapping of them; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    names: Any = getattr(type(value), "__struct_fields__", None)
    if names is None:
        attributes = getattr(type(value), "__attrs_attrs__", None)
        names = None if attributes is None else [each.name for each in attributes]
    return None if names is None else {name: getattr(value, name) for name in names}


def _unwrapped(value: Any) -> Any:
    """The plain value inside a pydantic model, a numpy scalar or a small numpy array; else the value itself."""
    kind = type(value)
    if isinstance(value, type):
        return value
    if hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        return value.model_dump()
    if hasattr(kind, "dtype") and hasattr(kind, "tolist") and getattr(value, "size", MAX_VALUES) < MAX_VALUES:
        return value.tolist()
    return value


def _key(key: Any) -> str:
    if key is None or isinstance(key, bool | int | float):
        return str(key)
    if isinstance(key, enum.Enum) and isinstance(key.value, str):
        return str(key.value)
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    return str.__str__(key) if isinstance(key, str) else safe_text(key, str)


def _long_number(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python limits how many digits it will write.
        return f"<a whole number of {value.bit_length()} bits>"


class _Depth(threading.local):
    reentries = 0


_depth = _Depth()


def safe_repr(value: object) -> str:
    """`repr` of anything, bounded; when it raises or comes back here again and again, the value's type."""
    return safe_text(value, repr)


def safe_text(value: object, render: Callable[[object], str]) -> str:
    """What `render` (`str` or `repr`) makes of anything, bounded; the value's type when that fails."""
    if _depth.reentries >= _MAX_REENTRY:
        return f"<{type(value).__name__}>"
    _depth.reentries += 1
    try:
        return shortened(render(value), MAX_REPR)
    except Exception as error:  # noqa: BLE001 - code of the application
        return f"<{type(value).__name__}, whose {render.__name__} raises {type(error).__name__}>"
    finally:
        _depth.reentries -= 1


def shortened(text: str, limit: int) -> str:
    """At most about that many characters, with a mark that says how many are missing."""
    if len(text) <= limit:
        return text
    mark = f"… [{len(text) - limit} more characters cut]"
    return text[: max(0, limit - len(mark))] + mark
