"""Exceptions: captured cheaply in the logging call, without keeping them alive, and printed later in another thread.

The stdlib's `traceback` does the printing, so the text is what the interpreter would print. A `TracebackException`
without frames captures what it needs of the live exception: text, notes, causes, suggestions. Of each frame only code,
instruction and line are noted, and source files are read when the text is made.

Exceptions that are too large to read are bounded, and the text says so: one with more than MAX_EXCEPTIONS causes,
contexts and members is printed alone, and of more than MAX_FRAMES frames only the first ones and the last are printed.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import linecache
import sys
import traceback
from collections.abc import Callable, Sequence
from sys import getsizeof
from types import CodeType, TracebackType
from typing import Any, Final

from .frames import HIDDEN, POSITIONS, Frame, printed

MAX_EXCEPTIONS: Final = 2_000
MAX_FRAMES: Final = 10_000

#: Python 3.10 has no exception groups.
_GROUPS: Final[Any] = getattr(builtins, "BaseExceptionGroup", ())
#: Largest column of a SyntaxError that is believed. `traceback` prints a marker of as many characters as that says.
_WIDEST: Final = 1_000_000
#: What a frame that was noted, and an exception that was captured, take beside their text, in bytes.
_FRAME_BYTES: Final = 80
_EXCEPTION_BYTES: Final = 1_500


class Trace:
    """An exception as it was when it was logged. Making a Trace never raises an Exception.

    Args:
        exception: the exception. Any method and property of its class may raise.
        tb: its traceback; None if it was never raised.
        tail: text to print below it.
    """

    __slots__ = ("_alone", "_frames", "_stacks", "_tail", "error_type", "frame")

    def __init__(self, exception: BaseException, tb: TracebackType | None, tail: str | None = None) -> None:
        limit = getattr(sys, "tracebacklimit", None)
        limit = max(0, limit) if isinstance(limit, int) else None
        #: The name of the exception's class.
        self.error_type: str = type(exception).__name__
        self._frames, left_out, last = _frames(tb, limit)
        if last is not None and last.tb_frame.f_code in HIDDEN:
            last = _last_visible(tb)
        #: Code and line that raised; None for an exception that was never raised.
        self.frame: tuple[CodeType, int] | None = None if last is None else (last.tb_frame.f_code, last.tb_lineno)
        #: The captured exception, first, and all its causes, contexts and members, each with its frames. Empty if
        #: capturing failed or would take too much; `_alone` is the exception's text then.
        self._stacks: list[tuple[traceback.TracebackException, list[Frame]]] = []
        self._alone = ""
        notices = [f"[{left_out} frames before the last were left out]"] if left_out else []
        if _are_many(exception):
            self._alone = _described(exception)
            notices.append(f"[more than {MAX_EXCEPTIONS} exceptions that led to it were left out]")
        else:
            try:
                self._stacks = _captured(exception, tb, self._frames, limit)
            except Exception as error:  # noqa: BLE001 - capturing ran code of the exception's class
                self._alone = _described(exception)
                notices.append(f"[what led to it could not be read: {type(error).__name__}]")
        self._tail = "\n".join([*notices, tail] if tail else notices)

    @property
    def size(self) -> int:
        """Estimated size in bytes."""
        size = 0
        for captured, frames in self._stacks:
            # What the exception's `str` gave. Not public, and not in the stubs.
            size += _EXCEPTION_BYTES + _FRAME_BYTES * len(frames) + getsizeof(captured._str)  # type: ignore[attr-defined]
            notes = getattr(captured, "__notes__", None)
            if notes is not None:
                size += sum(map(getsizeof, notes if type(notes) is list else [notes]))
        if self._alone or self._tail:
            size += getsizeof(self._alone) + getsizeof(self._tail) + _FRAME_BYTES * len(self._frames)
        return size

    def text(self) -> str:
        """What `render` makes, or a text that says why it fails. Never raises an Exception."""
        try:
            return self.render()
        except Exception as error:  # noqa: BLE001 - code of the application ran: loaders and classes of exceptions
            return f"{self.error_type} (its traceback could not be printed: {type(error).__name__})"

    def render(self) -> str:
        """The text as `traceback.format_exception` makes it, without the last line end. Raises what loaders raise."""
        for filename in {code.co_filename for _, frames in self._stacks for code, _, _ in frames}:
            linecache.checkcache(filename)
        for captured, frames in self._stacks:
            captured.stack = printed(frames)  # type: ignore[assignment]  # `traceback` calls only its format()
        if self._stacks:
            lines = list(self._stacks[0][0].format())
        else:
            stack = printed(self._frames)
            lines = [*(["Traceback (most recent call last):\n"] if stack else []), *stack, self._alone]
        text = "".join(lines).removesuffix("\n")
        return f"{text}\n{self._tail}" if self._tail else text


# In the logging call


def _captured(
    exception: BaseException, tb: TracebackType | None, frames: list[Frame], limit: int | None
) -> list[tuple[traceback.TracebackException, list[Frame]]]:
    """The exception and all its causes, contexts and members as `traceback` captures them, each with its frames."""
    # limit=0: no frames. Capturing them there costs twenty times as much as `_frames`.
    first = traceback.TracebackException(type(exception), exception, tb, limit=0, lookup_lines=False, compact=True)
    stacks = [(first, frames)]
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
            noted, *_ = _frames(each.__traceback__, limit)
            stacks.append((below, noted))
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


def _frames(tb: TracebackType | None, limit: int | None) -> tuple[list[Frame], int, TracebackType | None]:
    """The frames of a traceback; how many before the last one were left out; and the last part of the traceback."""
    frames: list[Frame] = []
    cached = linecache.cache
    last = None
    for _ in range(MAX_FRAMES if limit is None else min(limit, MAX_FRAMES)):
        if tb is None:
            return frames, 0, last
        last = tb
        code = tb.tb_frame.f_code
        if code.co_filename not in cached:
            _remember_source(code.co_filename, tb.tb_frame.f_globals)
        instruction = tb.tb_lasti
        frames.append((code, instruction, None if POSITIONS and instruction >= 0 else tb.tb_lineno))
        tb = tb.tb_next
    more = 0
    while tb is not None:
        last = tb
        more += 1
        tb = tb.tb_next
    if last is None or not more or len(frames) < MAX_FRAMES:
        return frames, 0, last
    frames.append((last.tb_frame.f_code, last.tb_lasti, last.tb_lineno))
    return frames, more - 1, last


def _last_visible(tb: TracebackType | None) -> TracebackType | None:
    """The last part of a traceback whose frame is not hidden: the caller, if a wrapper could not call its function."""
    last = None
    while tb is not None:
        if tb.tb_frame.f_code not in HIDDEN:
            last = tb
        tb = tb.tb_next
    return last


def _remember_source(filename: str, module: dict[str, Any]) -> None:
    """Let `linecache` find source that only the module's loader has, in a zip file say, once the module is gone."""
    with contextlib.suppress(Exception):  # A loader can be anybody's code.
        linecache.lazycache(filename, module)


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
