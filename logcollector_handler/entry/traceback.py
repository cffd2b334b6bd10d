"""Exceptions: captured in the logging call, cheaply and without keeping them alive; printed on another thread.

`traceback` does the printing, so the text is what the interpreter prints. What it needs of the live
exception (its text, notes, causes, suggestions) it takes at once, without frames; of each frame only code,
instruction and line are noted, and the source is looked up when the text is made.

Exceptions that nobody could read to the end are bounded: one that more than MAX_EXCEPTIONS others hang on is
printed alone, and of more than MAX_FRAMES frames the first ones and the last are. The text says so.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import linecache
import operator
import sys
import traceback
from collections.abc import Callable, Sequence
from types import CodeType, TracebackType
from typing import Any, Final

MAX_EXCEPTIONS: Final = 2_000
MAX_FRAMES: Final = 10_000

#: Python 3.10 has none.
_GROUPS: Final[Any] = getattr(builtins, "BaseExceptionGroup", ())
#: Columns, and with them lines, are known of an instruction; finding the line costs, so that waits too.
_POSITIONS: Final = sys.version_info >= (3, 11)

#: No line of source is longer; `traceback` marks with as many characters as it is told.
_WIDEST: Final = 1_000_000

#: Code, instruction, and the line where it cannot be told from these.
_Frame = tuple[CodeType, int, int | None]


class Trace:
    """An exception as it was when it was logged. `render` makes the text of it, once.

    Args:
        exception: the exception. Its class may be broken in any way.
        tb: where it was raised; None if it never was.
        tail: text that is printed below it.
    """

    __slots__ = ("_alone", "_frames", "_stacks", "_tail", "error_type", "frame")

    def __init__(self, exception: BaseException, tb: TracebackType | None, tail: str | None = None) -> None:
        limit = getattr(sys, "tracebacklimit", None)
        limit = max(0, limit) if isinstance(limit, int) else None
        #: Name of its class.
        self.error_type = type(exception).__name__
        self._frames, left_out, last = _frames(tb, limit)
        #: Where it was raised: code and line; None for an exception that never was.
        self.frame = None if last is None else (last.tb_frame.f_code, last.tb_lineno)
        #: What `traceback` holds of it and of the exceptions behind it, each with its frames. Empty when it
        #: cannot be captured so; then `_alone` is its text.
        self._stacks: list[tuple[traceback.TracebackException, list[_Frame]]] = []
        self._alone = ""
        notices = [f"[{left_out} frames before the last were left out]"] if left_out else []
        if _are_many(exception):
            self._alone = _described(exception)
            notices.append(f"[more than {MAX_EXCEPTIONS} exceptions that led to it were left out]")
        else:
            try:
                self._stacks = _captured(exception, tb, self._frames, limit)
            except Exception as error:  # noqa: BLE001 - code of the exception's class ran in there
                self._alone = _described(exception)
                notices.append(f"[what led to it could not be read: {type(error).__name__}]")
        self._tail = "\n".join([*notices, tail] if tail else notices)

    def render(self) -> str:
        """The text that `traceback.format_exception` gives, without the last line's end."""
        for filename in {code.co_filename for _, frames in self._stacks for code, _, _ in frames}:
            linecache.checkcache(filename)
        for captured, frames in self._stacks:
            captured.stack = _printed(frames)  # type: ignore[assignment]  # all that is asked of it is format()
        if self._stacks:
            lines = list(self._stacks[0][0].format())
        else:
            head = ["Traceback (most recent call last):\n"] if self._frames else []
            lines = [*head, *_printed(self._frames), self._alone]
        text = "".join(lines).removesuffix("\n")
        return f"{text}\n{self._tail}" if self._tail else text


# In the logging call


def _captured(
    exception: BaseException, tb: TracebackType | None, frames: list[_Frame], limit: int | None
) -> list[tuple[traceback.TracebackException, list[_Frame]]]:
    """What `traceback` holds of the exception and of those behind it, each with its frames."""
    # limit=0: noting the frames costs a twentieth of what it costs there.
    first = traceback.TracebackException(type(exception), exception, tb, limit=0, lookup_lines=False, compact=True)
    stacks = [(first, frames)]
    todo: list[tuple[Any, Any]] = [(first, exception)]
    while todo:
        captured, error = todo.pop()
        if getattr(captured, "__notes__", None) is not None:
            captured.__notes__ = _said(captured.__notes__)
        if issubclass(type(error), SyntaxError) and not _is_plain(captured):
            raise TypeError("a SyntaxError of other things than text and places in it")
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
    """Whether what a SyntaxError is printed from can be kept: made by hand it can hold anything."""
    texts = (captured.msg, captured.filename, captured.text)
    places = (captured.offset, captured.end_offset)
    return all(each is None or type(each) is str for each in texts) and all(
        each is None or (type(each) is int and abs(each) < _WIDEST) for each in places
    )


def _are_many(exception: BaseException) -> bool:
    """Whether `traceback` would capture more than MAX_EXCEPTIONS.

    It visits a cause or context once, but the members of a group as often as they stand in one.
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
    except Exception:  # noqa: BLE001 - code of the exception's class; `_captured` meets it again, and tells of it
        return False
    return False


def _frames(tb: TracebackType | None, limit: int | None) -> tuple[list[_Frame], int, TracebackType | None]:
    """The frames of a traceback, how many before the last were left out, and the traceback's end."""
    frames: list[_Frame] = []
    cached = linecache.cache
    last = None
    for _ in range(MAX_FRAMES if limit is None else min(limit, MAX_FRAMES)):
        if tb is None:
            return frames, 0, last
        last = tb
        frame = tb.tb_frame
        code = frame.f_code
        if code.co_filename not in cached:
            _remember_source(code.co_filename, frame.f_globals)
        instruction = tb.tb_lasti
        frames.append((code, instruction, None if _POSITIONS and instruction >= 0 else tb.tb_lineno))
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


def _remember_source(filename: str, module: dict[str, Any]) -> None:
    """Source that only the module's loader has (in a zip, say) is found through its globals."""
    with contextlib.suppress(Exception):  # A loader is code of anybody's.
        linecache.lazycache(filename, module)


class _Said:
    """Stands for an object that is printed later, and says then what the object said now."""

    __slots__ = ("_text",)

    def __init__(self, value: object, render: Callable[[object], str]) -> None:
        try:
            self._text: str | None = render(value)
        except Exception:  # noqa: BLE001 - code of the application; `traceback` shall see it fail as well
            self._text = None

    def __str__(self) -> str:
        if self._text is None:
            raise ValueError("could not be printed")
        return self._text

    __repr__ = __str__


def _said(notes: Any) -> Any:
    """Notes as they are now: the list can grow, and what stands in it can change."""
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


# When the text is made


class _Lines(list[str]):
    """The printed frames of a stack, in the place of a StackSummary."""

    def format(self, **_: object) -> list[str]:
        return self


#: Stacks that were printed lately, for in a storm of errors the same few come again and again: each with its
#: frames, which keep the identities of their code, and what linecache knew of their files, which changes with a file.
_lately: dict[tuple[tuple[int, int, int | None], ...], tuple[list[_Frame], list[object], _Lines]] = {}
_LATELY: Final = 64
#: Longer ones are not kept.
_LATELY_FRAMES: Final = 200
_LATELY_TEXT: Final = 64 * 1024


def _printed(frames: list[_Frame]) -> _Lines:
    """The frames as `traceback` prints them. `linecache.checkcache` was called for their files."""
    key = tuple([(id(code), instruction, line) for code, instruction, line in frames])
    found = _lately.get(key)
    if found is None or any(map(operator.is_not, found[1], _sources(frames))):
        stack = traceback.StackSummary()
        stack.extend(itertools.starmap(_summary, frames))
        found = frames, _sources(frames), _Lines(stack.format())
        if len(frames) <= _LATELY_FRAMES and sum(map(len, found[2])) <= _LATELY_TEXT:
            if len(_lately) >= _LATELY:
                _lately.clear()
            _lately[key] = found
    return found[2]


def _sources(frames: list[_Frame]) -> list[object]:
    return [linecache.cache.get(code.co_filename) or _unknown(code.co_filename) for code, _, _ in frames]


def _unknown(filename: str) -> object:
    # A file that is not there may be there the next time: it is never what it was. What is no file stays none.
    return None if filename.startswith("<") else object()


if sys.version_info >= (3, 11):

    def _summary(code: CodeType, instruction: int, line: int | None) -> traceback.FrameSummary:
        position: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
        if instruction >= 0:
            position = next(itertools.islice(code.co_positions(), instruction // 2, None))
        start, end, column, end_column = position
        return traceback.FrameSummary(
            code.co_filename,
            line if start is None else start,
            code.co_name,
            lookup_line=False,
            end_lineno=end,
            colno=column,
            end_colno=end_column,
        )

else:

    def _summary(code: CodeType, instruction: int, line: int | None) -> traceback.FrameSummary:
        return traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)
