"""Which exceptions have been shipped at ERROR already: the one that an application logs, its framework logs again.

An exception is recognised as long as it lives, and nothing here keeps it alive. Builtin exceptions cannot be referred
to weakly; they are marked, which nobody sees who does not look into their `__dict__`.

An object may be raised more than once: one that a module keeps, or the result of a future. Each time is a failure of
its own, so an exception is a repeat only for as long as everything speaks for the same failure.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Final

from .memory import make_room

#: What tells one record from another: the name of its logger, its time and its thread.
Stamp = tuple[Any, ...]

#: Numbers requests and shipped failures in the order in which they begin.
numbers: Final = itertools.count(1)

_MARK: Final = "__logcollector_handler__"
#: Exceptions that live at the same time, of those that can be referred to weakly. Few programs keep as many.
_REMEMBERED: Final = 4096


class _Shipped:
    """The record that shipped an exception, and the records of other loggers that have repeated it.

    Args:
        stamp: of that record.
        request: number of the request that it was logged in; None outside of requests.
    """

    __slots__ = ("_number", "_request", "_told", "stamp")

    def __init__(self, stamp: Stamp, request: int | None) -> None:
        self.stamp = stamp
        self._request = request
        self._number = next(numbers)
        #: By logger. Each tells one failure once.
        self._told: dict[Any, Stamp] = {stamp[0]: stamp} if stamp else {}

    def is_told_by(self, stamp: Stamp, request: int | None) -> bool:
        """Whether a record of a framework, in that request, tells the same failure."""
        if self._told.setdefault(stamp[0], stamp) != stamp:
            return False
        return request is None or (self._request in (None, request) and self._number > request)


class _Marks(dict[object, _Shipped]):
    """By handler: the record that shipped one exception. It knows which, because a copy has the same marks."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._owner = id(error)

    def is_of(self, error: BaseException) -> bool:
        """Whether they were made for this very object."""
        return self._owner == id(error)

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process, or after a copy, they say nothing.
        return dict, ()


#: By id. An entry goes when its exception does.
_known: Final[dict[int, tuple[weakref.ref[BaseException], _Marks]]] = {}


def is_repeat(error: BaseException, stamp: Stamp, handler: object, request: int | None, *, framework: bool) -> bool:
    """Whether another record has shipped the exception for the same failure; if not, this one does.

    Args:
        error: the exception.
        stamp: of the record. A handler may be given a record twice; that is no repeat of itself.
        handler: identifies the handler. What another one has shipped may have gone elsewhere.
        request: number of the request that the record was logged in; None outside of requests.
        framework: whether the record's logger is that of a framework. Others do not repeat.
    """
    marks = _marks_of(error)
    shipped = marks.get(handler) or marks.get(None)
    if shipped is not None:
        if shipped.stamp == stamp:
            return False
        if framework and shipped.is_told_by(stamp, request):
            return True
    marks[handler] = _Shipped(stamp, request)
    return False


def forgive(error: BaseException) -> None:
    """From now on take records of the exception for repeats, as if it had been shipped: it is no failure."""
    _marks_of(error)[None] = _Shipped((), None)


def _marks_of(error: BaseException) -> _Marks:
    """What is known of the exception; an object that nobody keeps, if it can neither be marked nor referred to."""
    key = id(error)
    found = _known.get(key)
    if found is not None and found[0]() is error:
        return found[1]

    def forget(reference: weakref.ref[BaseException]) -> None:
        # Another exception may have the id by now.
        found = _known.get(key)
        if found is not None and found[0] is reference:
            _known.pop(key, None)

    made = _Marks(error)
    try:
        make_room(_known, _REMEMBERED)
        _known[key] = weakref.ref(error, forget), made
    except TypeError:
        return _mark(error, made)
    return made


def _mark(error: BaseException, made: _Marks) -> _Marks:
    try:
        marks = error.__dict__.setdefault(_MARK, made)
        if type(marks) is not _Marks or not marks.is_of(error):
            marks = error.__dict__[_MARK] = made
    except Exception:  # noqa: BLE001 - code of the application; the exception is shipped as if it were a new one
        return made
    return marks
