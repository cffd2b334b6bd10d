"""Text of bounded length that the server can store, made of text, of keys, or of any object by its `str` or `repr`.

Code of the application runs in `safe_repr`, `safe_text` and `guarded` only.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection
from contextvars import ContextVar
from itertools import chain, count
from typing import Any, Final, TypeVar

from .marks import MARK_CHARACTERS, cut, uncut

#: Longest result of `safe_repr` and `safe_text`, in characters.
MAX_REPR: Final = 4_000
#: Longest key of a mapping, in characters.
MAX_KEY: Final = 1_000
#: Longer whole numbers are not written out: the time for that grows with the square of their length.
_MAX_BITS: Final = 10_000
#: A `repr` may log, and so call this module again while it is called here. Inside this many such calls it is an error.
_MAX_REENTRY: Final = 2
#: Numbers below this one are tried for a name that is taken; then one that is likely to be free.
_TRIED: Final = 10
#: Types of values that are compared without running code of the application.
_COMPARED: Final = frozenset({str, int, bool, type(None)})

#: What PostgreSQL's text and UTF-8 cannot hold.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
T = TypeVar("T")


def clean_text(text: str) -> str:
    """The text as an exact `str`, with each character that the server cannot store replaced by U+FFFD."""
    text = str.__str__(text)
    return _UNSTORABLE.sub("�", text) if _UNSTORABLE.search(text) else text


def shortened(text: str, limit: int) -> str:
    """The text, cut to at most `limit` characters, with a mark at its end that says how many are missing.

    The mark is never cut, so under a limit of 40 characters the result can be longer. Text that was shortened before
    gets one mark that counts all that is missing.
    """
    if len(text) <= limit:
        return text
    whole, missing, unit = uncut(text)
    kept = max(0, min(limit - MARK_CHARACTERS, len(whole)))
    return whole[:kept] + cut(len(whole) - kept + missing, unit)


def unused(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it if it is taken."""
    if name not in taken:
        return name
    # Where very many have one name, trying all numbers from 2 on for each of them would take long.
    numbers = chain(range(2, _TRIED), count(len(taken) + 1))
    return next(new for number in numbers if (new := f"{name} ({number})") not in taken)


def add_field(fields: dict[str, Any], name: str, value: Any) -> None:
    """Add a field to others. If one of them has its name, it gets a number behind that, unless both are the same."""
    if name in fields:
        same = type(value) in _COMPARED and type(fields[name]) is type(value) and fields[name] == value
        if same:
            return
        name = unused(name, fields)
    fields[name] = value


# Keys


def key_text(key: object) -> str:
    """Any key of a mapping as text that can be stored, of at most MAX_KEY characters. Never raises an Exception."""
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
        return whole_number(int(key))
    if isinstance(key, bytes):
        return key[:MAX_KEY].decode("utf-8", "backslashreplace")
    return safe_text(key, str)


def text_keys(fields: dict[Any, Any]) -> dict[str, Any]:
    """The same dict with every key as text. A key that was no text is numbered if its text is taken."""
    taken = {key for key in fields if type(key) is str}
    made = {}
    for key, value in dict.items(fields):
        name = key
        if type(key) is not str:
            name = unused(key_text(key), taken)
            taken.add(name)
        made[name] = value
    return made


def whole_number(value: int) -> str:
    """The digits of a number; of a very long one, how long it is."""
    if value.bit_length() > _MAX_BITS:
        return f"<a whole number of {value.bit_length()} bits>"
    return str(value)


# Any object

#: How many calls of `guarded` the running code is inside of.
_reentries: ContextVar[int] = ContextVar("reentries", default=0)


def safe_repr(value: object) -> str:
    """`repr` of anything, as `safe_text` makes it."""
    return safe_text(value, repr)


def safe_text(value: object, render: Callable[[Any], str]) -> str:
    """What `render` (`str` or `repr`) makes of anything, cut to MAX_REPR; the value's type if that raises.

    Never raises an Exception.
    """
    try:
        return shortened(str.__str__(guarded(render, value)), MAX_REPR)
    except Exception as error:  # noqa: BLE001 - code of the application
        return f"<{type(value).__name__}, whose {render.__name__} raises {type(error).__name__}>"


def guarded(render: Callable[[T], str], value: T) -> str:
    """What `render` makes of a value.

    Raises what `render` raises, and RecursionError when `render` logs, which calls it again, and so on without end.
    """
    before = _reentries.get()
    if before >= _MAX_REENTRY:
        raise RecursionError("it logs itself")
    try:
        # In here, because an exception out of a signal handler may come as soon as it is set.
        _reentries.set(before + 1)
        return render(value)
    finally:
        _reentries.set(before)
