"""Stacks as text: the stdlib prints the frames that a Trace noted, and what it printed lately is remembered."""

from __future__ import annotations

import itertools
import linecache
import operator
import re
import sys
import traceback
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final, cast

from .memory import make_room

#: From Python 3.11 on an instruction is enough to find line and columns, so the logging call need not find the line.
POSITIONS: Final = sys.version_info >= (3, 11)

#: Code, instruction, and the line if it does not follow from these (see POSITIONS).
Frame = tuple[CodeType, int, int | None]

#: The code of functions that `hide` was called with.
HIDDEN: Final[set[CodeType]] = set()


def hide(wrapper: Callable[..., Any]) -> None:
    """Leave the frames of one of the package's own functions, and of its copies, out of printed exceptions.

    For functions that stand between two functions of the application, such as the wrapper that a decorator makes.
    """
    HIDDEN.add(cast(FunctionType, wrapper).__code__)


def without_hidden(text: str) -> str:
    """A printed exception or stack without the frames of functions that `hide` was called with."""
    for code in list(HIDDEN):
        if code.co_filename in text:
            head = rf'  File "{re.escape(code.co_filename)}", line \d+, in {re.escape(code.co_name)}'
            # In a group each line has a margin.
            text = re.sub(rf"(?m)^(?P<margin>[ |]*){head}\n(?:(?P=margin)    .*\n)*", "", text)
    return text


class _Lines(list[str]):
    """The printed frames of a stack. Stands in for a StackSummary."""

    def format(self, **_: object) -> list[str]:
        return self


#: Stacks that were printed lately, because a storm of errors prints the same few again and again. Each is kept with its
#: frames, which keep the code objects alive whose ids are in the key; and with what `linecache` had of their files,
#: which is replaced when a file changes.
_lately: dict[tuple[tuple[int, int, int | None], ...], tuple[list[Frame], list[object], _Lines]] = {}
_LATELY: Final = 64
#: Stacks of more frames or characters are not kept.
_LATELY_FRAMES: Final = 200
_LATELY_TEXT: Final = 64 * 1024


def printed(frames: list[Frame]) -> _Lines:
    """The frames as `traceback` prints them, hidden ones apart. Call `linecache.checkcache` for their files before."""
    if any(code in HIDDEN for code, _, _ in frames):
        frames = [frame for frame in frames if frame[0] not in HIDDEN]
    key = tuple([(id(code), instruction, line) for code, instruction, line in frames])
    found = _lately.get(key)
    if found is None or any(map(operator.is_not, found[1], _sources(frames))):
        stack = traceback.StackSummary()
        stack.extend(itertools.starmap(_summary, frames))
        found = frames, _sources(frames), _Lines(stack.format())
        if len(frames) <= _LATELY_FRAMES and sum(map(len, found[2])) <= _LATELY_TEXT:
            make_room(_lately, _LATELY)
            _lately[key] = found
    return found[2]


def _sources(frames: list[Frame]) -> list[object]:
    return [linecache.cache.get(code.co_filename) or _unknown(code.co_filename) for code, _, _ in frames]


def _unknown(filename: str) -> object:
    # A file that cannot be read now may be there the next time, so it never equals what was remembered. A name in
    # angle brackets is no file, and never becomes one.
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
