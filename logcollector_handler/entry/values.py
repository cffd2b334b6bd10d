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

Past a depth, a number of values or a length the rest is left out, and says so in its place. What has fields
and cannot be read is named by its type: its `repr` could show a secret.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import os
import re
import uuid
from collections import deque
from collections.abc import Callable, Collection, ItemsView, Iterable, KeysView, Mapping, ValuesView
from contextvars import ContextVar
from itertools import count, islice
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import msgspec

from .redact import MASK

MAX_DEPTH: Final = 20
MAX_VALUES: Final = 5_000
MAX_REPR: Final = 4_000
#: Characters of a key; of all text together, as a multiple of the longest that a record may be.
MAX_KEY: Final = 1_000
_ROOM: Final = 4
#: Numbers longer than this are not written out: the time for that grows with the square of the length.
_MAX_BITS: Final = 10_000
#: How deep a `repr` that logs may have us in it again before that is an error.
_MAX_REENTRY: Final = 2

T = TypeVar("T")

#: What PostgreSQL's text and UTF-8 cannot hold.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_SCALARS: Final = frozenset({str, bool, float, type(None)})
#: Longer numbers become text.
INT64: Final = range(-(2**63), 2**64)

#: How U+0000 looks in JSON; a backslash before such letters looks the same, and is found innocent later.
_NUL: Final = b"\\u0000"
_TOO_DEEP: Final = f"<nested deeper than {MAX_DEPTH} levels>"
#: What stands where text was cut, and the room that is kept for it.
_MARK: Final = re.compile(r"\N{HORIZONTAL ELLIPSIS} \[(\d{1,16}) more characters cut\]$")
_MARK_ROOM: Final = 40

encode: Final = msgspec.json.Encoder().encode


def clean_text(text: str) -> str:
    """The text, an exact `str`, with what the server cannot store replaced, character by character."""
    text = str.__str__(text)
    return _UNSTORABLE.sub("�", text) if _UNSTORABLE.search(text) else text


def encode_fields(fields: dict[str, Any], secret: Callable[[str], bool], max_bytes: int) -> bytes:
    """The fields as a JSON object. Never raises, whatever they are. Keys are exact text, and of no secret."""
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
    except Exception:  # noqa: BLE001 - a surrogate
        encoded = _NUL
    if len(encoded) <= max_bytes and _NUL not in encoded:
        return encoded
    return encode(Cleaner(secret, max_bytes).mapping(fields, 0))


class Cleaner:
    """Makes one record's values plain. It counts, so it is made for each record anew."""

    def __init__(self, secret: Callable[[str], bool], max_text: int) -> None:
        self._secret = secret
        self._max_text = max_text
        self._room = max_text * _ROOM
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
            return value if value in INT64 else _long_number(value)
        if kind is float:
            return value if math.isfinite(value) else None
        try:
            return self._converted(value, depth)
        except _UnreadableError as error:
            return f"<{kind.__name__}, which could not be read: {type(error.__cause__).__name__}>"
        except Exception:  # noqa: BLE001 - code of the application runs in there
            return self.text(safe_repr(value))

    def text(self, text: str) -> str:
        """Text that can be stored, of bounded length."""
        text = str.__str__(text)
        if len(text) > self._max_text or len(text) > self._room:
            text = shortened(text, min(self._max_text, self._room))
        text = clean_text(text)
        self._room = max(0, self._room - len(text))
        return text

    def mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """An object, with the values of secret names masked."""
        made: dict[str, Any] = {}
        # Taken at once: code of the application that runs below may change the mapping.
        for key, value in list(islice(mapping.items(), max(0, self._left) + 1)):
            # The names of the record's own fields are kept, whatever one of the values took.
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
            return self.text(value)
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
        if depth > MAX_DEPTH:  # Something that stands for something that stands for something ...
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
    """Code of the application failed in a value that has fields or items. The cause is what it raised."""


def _opened(value: Any) -> Any:
    """What has fields as a mapping of them; the plain value inside a wrapper; anything else as it is."""
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
    """The attributes of those names that the value has: one may not have been set yet."""
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def key_text(key: object) -> str:
    """Any key of a mapping as text that can be stored, of bounded length."""
    try:
        text = key if type(key) is str else _key(key)
    except Exception:  # noqa: BLE001 - code of the application
        text = f"<{type(key).__name__}>"
    return clean_text(shortened(text, MAX_KEY))


def _key(key: object) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(_long_number(int(key)))
    if isinstance(key, bytes):
        return key[:MAX_KEY].decode("utf-8", "backslashreplace")
    return safe_text(key, str)


def text_keys(fields: dict[Any, Any]) -> dict[str, Any]:
    """The dict with other keys as text too, under names that no key which is text has."""
    taken = {key for key in fields if type(key) is str}
    made = {}
    for key, value in dict.items(fields):
        name = key
        if type(key) is not str:
            name = unused(key_text(key), taken)
            taken.add(name)
        made[name] = value
    return made


def unused(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it if it is taken."""
    if name not in taken:
        return name
    return next(new for number in count(len(taken) + 1) if (new := f"{name} ({number})") not in taken)


def _long_number(value: int) -> str:
    if value.bit_length() > _MAX_BITS:
        return f"<a whole number of {value.bit_length()} bits>"
    return str(value)


#: How many of our calls of the application's code the caller is inside of.
_reentries: ContextVar[int] = ContextVar("reentries", default=0)


def safe_repr(value: object) -> str:
    """`repr` of anything, bounded; when it raises or comes back here again and again, the value's type."""
    return safe_text(value, repr)


def safe_text(value: object, render: Callable[[Any], str]) -> str:
    """What `render` (`str` or `repr`) makes of anything, bounded; the value's type when that fails."""
    try:
        return shortened(str.__str__(guarded(render, value)), MAX_REPR)
    except Exception as error:  # noqa: BLE001 - code of the application
        return f"<{type(value).__name__}, whose {render.__name__} raises {type(error).__name__}>"


def guarded(render: Callable[[T], str], value: T) -> str:
    """What `render` makes of a value. A RecursionError when that logs, and so comes back here, again and again."""
    before = _reentries.get()
    if before >= _MAX_REENTRY:
        raise RecursionError("it logs itself")
    token = _reentries.set(before + 1)
    try:
        return render(value)
    finally:
        _reentries.reset(token)


def shortened(text: str, limit: int) -> str:
    """Text of at most `limit` characters, the mark's excess aside: the mark says how many are missing.

    Text that was shortened before is shortened as if it had been whole.
    """
    if len(text) <= limit:
        return text
    before = _MARK.search(text[-_MARK_ROOM:])
    missing = int(before[1]) if before else 0
    length = len(text) - (len(before[0]) if before else 0)
    kept = max(0, min(limit - _MARK_ROOM, length))
    return f"{text[:kept]}… [{length - kept + missing} more characters cut]"
