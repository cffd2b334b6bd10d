"""Exceptions: captured cheaply in the logging call, without keeping them alive, and printed later in another thread.

The stdlib's `traceback` does the printing, so the text is what the interpreter would print. A `TracebackException`
without frames captures what it needs of the live exception: text, notes, causes, suggestions. Stacks are noted by
`frames`, and source files are read when the text is made.

Exceptions that are too large to read are bounded, and the text says so: one with more than MAX_EXCEPTIONS causes,
contexts and members is printed alone. How many frames are noted is decided in `frames`.
"""

from __future__ import annotations

import builtins
import itertools
import sys
import traceback
from collections.abc import Callable, Sequence
from sys import getsizeof
from types import CodeType, TracebackType
from typing import Any, Final

from .frames import HIDDEN, Stack, noted

MAX_EXCEPTIONS: Final = 2_000

#: Python 3.10 has no exception groups.
_GROUPS: Final[Any] = getattr(builtins, "BaseExceptionGroup", ())
#: Exceptions of which `traceback` may print more than their class and text: places in source, suggestions, members.
_SAID_AT_LENGTH: Final = (SyntaxError, ImportError, NameError, AttributeError, *((_GROUPS,) if _GROUPS else ()))
#: Largest column of a SyntaxError that is believed. `traceback` prints a marker of as many characters as that says.
_WIDEST: Final = 1_000_000
#: What a frame that was noted, and an exception that was captured, take beside their text, in bytes.
_FRAME_BYTES: Final = 80
_EXCEPTION_BYTES: Final = 1_500


#: What stands above a stack.
_HEAD: Final = "Traceback (most recent call last):\n"


class _Printed(list[str]):
    """The printed frames of a stack. Stands in for a StackSummary, of which `traceback` calls only `format`."""

    def format(self, **_: object) -> list[str]:
        return self


class Trace:
    """An exception as it was when it was logged. Making a Trace never raises an Exception.

    Args:
        exception: the exception. Any method and property of its class may raise.
        tb: its traceback; None if it was never raised.
        tail: text to print below it.
    """

    __slots__ = ("_alone", "_stack", "_stacks", "_tail", "error_type", "frame")

    def __init__(self, exception: BaseException, tb: TracebackType | None, tail: str | None = None) -> None:
        limit = getattr(sys, "tracebacklimit", None)
        limit = max(0, limit) if isinstance(limit, int) else None
        #: The name of the exception's class.
        self.error_type: str = type(exception).__name__
        self._stack, left_out, last = noted(tb, limit)
        if last is not None and last.tb_frame.f_code in HIDDEN:
            last = _last_visible(tb)
        #: Code and line that raised; None for an exception that was never raised.
        self.frame: tuple[CodeType, int] | None = None if last is None else (last.tb_frame.f_code, last.tb_lineno)
        #: The captured exception, first, and all its causes, contexts and members, each with its stack. Empty if
        #: nothing led to it, or capturing failed or would take too much; `_alone` is the exception's text then.
        self._stacks: Sequence[tuple[traceback.TracebackException, Stack]] = ()
        self._alone = _last_line(exception)
        notices = [f"[{left_out} frames before the last were left out]"] if left_out else []
        if not self._alone:
            notices += self._capture(exception, tb, limit)
        self._tail = "\n".join([*notices, tail] if tail else notices)

    def _capture(self, exception: BaseException, tb: TracebackType | None, limit: int | None) -> list[str]:
        """Capture the exception and what led to it. Returns notices of what was left out."""
        if _are_many(exception):
            self._alone = _described(exception)
            return [f"[more than {MAX_EXCEPTIONS} exceptions that led to it were left out]"]
        try:
            self._stacks = _captured(exception, tb, self._stack, limit)
        except Exception as error:  # noqa: BLE001 - capturing ran code of the exception's class
            self._alone = _described(exception)
            return [f"[what led to it could not be read: {type(error).__name__}]"]
        return []

    @property
    def size(self) -> int:
        """Estimated size in bytes."""
        size = 0
        for captured, stack in self._stacks:
            # What the exception's `str` gave. Not public, and not in the stubs.
            size += _EXCEPTION_BYTES + _FRAME_BYTES * stack.count + getsizeof(captured._str)  # type: ignore[attr-defined]
            notes = getattr(captured, "__notes__", None)
            if notes is not None:
                size += sum(map(getsizeof, notes if type(notes) is list else [notes]))
        if self._alone or self._tail:
            size += getsizeof(self._alone) + getsizeof(self._tail) + _FRAME_BYTES * self._stack.count
        return size

    def text(self, printed: dict[Stack, str] | None = None) -> str:
        """What `render` makes, or a text that says why it fails. Never raises an Exception.

        Args:
            printed: the stacks that were printed for the same batch.
        """
        try:
            return self.render({} if printed is None else printed)
        except Exception as error:  # noqa: BLE001 - code of the application ran: loaders and classes of exceptions
            return f"{self.error_type} (its traceback could not be printed: {type(error).__name__})"

    def render(self, printed: dict[Stack, str]) -> str:
        """The text as `traceback.format_exception` makes it, without the last line end. Raises what loaders raise."""
        for captured, below in self._stacks:
            text = below.text(printed)
            captured.stack = _Printed([text] if text else [])  # type: ignore[assignment]  # see there
        if self._stacks:
            text = "".join(self._stacks[0][0].format()).removesuffix("\n")
        else:
            stack = self._stack.text(printed)
            text = f"{_HEAD}{stack}{self._alone}" if stack else self._alone
        return f"{text}\n{self._tail}" if self._tail else text


# In the logging call


def _last_line(exception: BaseException) -> str:
    """What `traceback` prints of an exception below its stack, if that is one line: its class and its text.

    Empty for exceptions of which it prints more, such as notes and what led to them, and for those whose code fails.
    Most exceptions that are logged have the one line, and for these it costs a third of what capturing them does.
    """
    kind = type(exception)
    try:
        if (
            exception.__cause__ is not None
            or (exception.__context__ is not None and not exception.__suppress_context__)
            or getattr(exception, "__notes__", None) is not None
            or issubclass(kind, _SAID_AT_LENGTH)
        ):
            return ""
        text, name, module = str(exception), kind.__qualname__, kind.__module__
    except Exception:  # noqa: BLE001 - code of the exception's class; `_captured` says that it failed
        return ""
    if not (type(text) is type(name) is type(module) is str):
        return ""
    if module not in ("builtins", "__main__"):
        name = f"{module}.{name}"
    return f"{name}: {text}" if text else name


def _captured(
    exception: BaseException, tb: TracebackType | None, stack: Stack, limit: int | None
) -> list[tuple[traceback.TracebackException, Stack]]:
    """The exception and all its causes, contexts and members as `traceback` captures them, each with its stack."""
    # limit=0: no frames. Capturing them there costs twenty times as much as `noted`.
    first = traceback.TracebackException(type(exception), exception, tb, limit=0, lookup_lines=False, compact=True)
    stacks = [(first, stack)]
    todo: list[tuple[Any, Any]] = [(first, exception)]
    while todo:
        captured, error = todo.pop()
        if getattr(captured, "__notes__", None) is not None:
            captured.__notes__ = _said(captured.__notes__)
        if issubclass(type(error), SyntaxError) and not _is_plain(captured):
            raise TypeError("a SyntaxError made of other things than text and places in it")
        behind = []
        if captured.__cause__ is not None:
            behind.append((captured.__cause__, error.__cause__))
        if captured.__context__ is not None:
            behind.append((captured.__context__, error.__context__))
        if getattr(captured, "exceptions", None):
            behind += zip(captured.exceptions, error.exceptions, strict=False)
        for below, each in behind:
            stack, *_ = noted(each.__traceback__, limit)
            stacks.append((below, stack))
            todo.append((below, each))
    return stacks


def _is_plain(captured: Any) -> bool:
    """Whether the parts of a SyntaxError are what they should be. One made by hand can hold any objects."""
    texts = (captured.msg, captured.filename, captured.text)
    places = (captured.offset, captured.end_offset)
    return all(each is None or type(each) is str for each in texts) and all(
        each is None or (type(each) is int and abs(each) < _WIDEST) for each in places
    )


def _are_many(exception: BaseException) -> bool:
    """Whether `traceback` would capture more than MAX_EXCEPTIONS.

    It captures a cause or context once, but a member of groups once for each group that it is in.
    """
    try:
        if exception.__cause__ is None and exception.__context__ is None and not isinstance(exception, _GROUPS):
            return False
        count = 0
        seen: set[int] = set()
        todo: list[BaseException] = [exception]
        while todo:
            error = todo.pop()
            seen.add(id(error))
            count += 1
            if count > MAX_EXCEPTIONS:
                return True
            below = error.__cause__
            if below is None and not error.__suppress_context__:
                below = error.__context__
            if below is not None and id(below) not in seen:
                todo.append(below)
            if isinstance(error, _GROUPS):
                todo += itertools.islice(error.exceptions, MAX_EXCEPTIONS + 1)
    except Exception:  # noqa: BLE001 - code of the exception's class; it fails in `_captured` as well, which reports it
        return False
    return False


def _last_visible(tb: TracebackType | None) -> TracebackType | None:
    """The last part of a traceback whose frame is not hidden: the caller, if a wrapper could not call its function."""
    last = None
    while tb is not None:
        if tb.tb_frame.f_code not in HIDDEN:
            last = tb
        tb = tb.tb_next
    return last


class _Said:
    """Stands in for an object that `traceback` prints later: prints what the object prints now."""

    __slots__ = ("_text",)

    def __init__(self, value: object, render: Callable[[object], str]) -> None:
        try:
            self._text: str | None = render(value)
        except Exception:  # noqa: BLE001 - code of the application; `traceback` has a text of its own for objects that fail
            self._text = None

    def __str__(self) -> str:
        if self._text is None:
            raise ValueError("could not be printed")
        return self._text

    __repr__ = __str__


def _said(notes: Any) -> Any:
    """A copy of an exception's notes as they are now."""
    if isinstance(notes, str | bytes):
        return notes
    if isinstance(notes, Sequence):
        return [note if type(note) is str else _Said(note, str) for note in notes]
    return _Said(notes, repr)


def _described(exception: BaseException) -> str:
    try:
        return f"{type(exception).__qualname__}: {exception}"
    except Exception:  # noqa: BLE001 - code of the exception's class
        return f"{type(exception).__qualname__}: <exception str() failed>"
