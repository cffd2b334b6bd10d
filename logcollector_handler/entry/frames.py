"""Stacks: noted frame by frame in the logging call, and printed by the stdlib later, in another thread.

A storm of errors has the same few stacks again and again. So a stack that was noted lately is found again, by the code
and the place of each of its frames, and all traces with the same frames share one Stack, which remembers its text.
"""

from __future__ import annotations

import contextlib
import itertools
import linecache
import operator
import re
import sys
import traceback
from collections.abc import Callable
from types import CodeType, FunctionType, TracebackType
from typing import Any, Final, cast

from .memory import make_room

#: Of more frames only the first ones and the last are noted.
MAX_FRAMES: Final = 10_000
#: From Python 3.11 on an instruction is enough to find line and columns, so the logging call need not find the line.
_POSITIONS: Final = sys.version_info >= (3, 11)

#: Code, instruction, and the line if it does not follow from these (see _POSITIONS).
_Frame = tuple[CodeType, int, int | None]

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


class Stack:
    """The frames of a traceback. Their text is made when it is asked for, and made anew when a source file changed.

    Args:
        frames: the frames, outermost first.
    """

    __slots__ = ("_frames", "_latest", "count", "files", "sources")

    def __init__(self, frames: list[_Frame]) -> None:
        self._frames = frames
        #: How many frames it has.
        self.count: int = len(frames)
        #: The names of its source files.
        self.files: frozenset[str] = frozenset([code.co_filename for code, _, _ in frames])
        #: Those of them of which `linecache` had the source, or knew who has it, when the stack was noted.
        self.sources: frozenset[str] = frozenset([filename for filename in self.files if filename in linecache.cache])
        # Text, the number of hidden functions, and what `linecache` had of the files when it was made. Set as a whole,
        # because the threads of several handlers may print the same stack at the same time.
        self._latest: tuple[str, int, list[object]] = ("", -1, [])

    def text(self, printed: dict[Stack, str]) -> str:
        """The frames as `traceback` prints them, hidden ones apart.

        Args:
            printed: the texts that were made for the same batch. Its stacks are taken as they are: no file is looked at
                twice for one batch.
        """
        text = printed.get(self)
        if text is None:
            text = printed[self] = self._current()
        return text

    def _current(self) -> str:
        for filename in self.files:
            linecache.checkcache(filename)
        text, hidden, had = self._latest
        if hidden != len(HIDDEN) or any(map(operator.is_not, had, self._had())):
            hidden = len(HIDDEN)
            stack = traceback.StackSummary()
            stack.extend(itertools.starmap(_summary, [each for each in self._frames if each[0] not in HIDDEN]))
            text = "".join(stack.format())
            if len(text) <= _LATELY_TEXT:
                self._latest = text, hidden, self._had()
        return text

    def _had(self) -> list[object]:
        """What `linecache` has of the files: an object that is replaced when a file changes."""
        return [linecache.cache.get(filename) or _unknown(filename) for filename in self.files]


def _unknown(filename: str) -> object:
    # A file that cannot be read now may be there the next time, so it never equals what was remembered. A name in
    # angle brackets is no file, and never becomes one.
    return None if filename.startswith("<") else object()


#: Stacks that were noted lately, by the ids of their frames' code objects, which the stacks keep alive, and the places
#: in these.
_lately: dict[tuple[int, ...], Stack] = {}
_LATELY: Final = 256
#: Stacks of more frames are not kept, nor texts of more characters.
_LATELY_FRAMES: Final = 200
_LATELY_TEXT: Final = 32 * 1024


def noted(tb: TracebackType | None, limit: int | None) -> tuple[Stack, int, TracebackType | None]:
    """The stack of a traceback; how many frames before the last were left out; and the last part of the traceback.

    This runs in the logging call.
    """
    parts: list[TracebackType] = []
    while tb is not None:
        parts.append(tb)
        tb = tb.tb_next
    last = parts[-1] if parts else None
    most = MAX_FRAMES if limit is None else min(limit, MAX_FRAMES)
    if len(parts) > most:
        if most < MAX_FRAMES:
            return Stack(_frames(parts[:most])), 0, last
        return Stack(_frames([*parts[:most], parts[-1]])), len(parts) - most - 1, last
    places = [part.tb_lasti for part in parts] if _POSITIONS else [part.tb_lineno for part in parts]
    key = (*map(id, [part.tb_frame.f_code for part in parts]), *places)
    stack = _lately.get(key)
    # The source of a zip file, say, is gone if somebody has cleared `linecache` since.
    if stack is None or not linecache.cache.keys() >= stack.sources:
        stack = Stack(_frames(parts))
        # Below zero, the place says nothing of the line.
        if len(parts) <= _LATELY_FRAMES and min(places, default=0) >= 0:
            make_room(_lately, _LATELY)
            _lately[key] = stack
    return stack, 0, last


def _frames(parts: list[TracebackType]) -> list[_Frame]:
    frames: list[_Frame] = []
    for part in parts:
        code, instruction = part.tb_frame.f_code, part.tb_lasti
        if code.co_filename not in linecache.cache:
            # Let `linecache` find source that only the module's loader has, in a zip file say, once the module is gone.
            with contextlib.suppress(Exception):  # A loader can be anybody's code.
                linecache.lazycache(code.co_filename, part.tb_frame.f_globals)
        frames.append((code, instruction, None if _POSITIONS and instruction >= 0 else part.tb_lineno))
    return frames


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
