"""Finds the trace in the text that loguru made of a message, and makes it as the interpreter would print it."""

from __future__ import annotations

import re
from typing import Final

_BEGINS: Final = re.compile(r"(?m)^(?:  \+ Exception Group )?Traceback \(most recent call last\):$")
#: A line of a frame, with the margin that it has in a group. loguru marks the frame that logs with `>`.
_FRAME: Final = re.compile(r'([ |]*?)[ >] File "')
_BETWEEN: Final = ("The above exception was the direct cause", "During handling of the above exception")


def trace_in(text: str, message: str) -> str | None:
    """The trace behind the message; None if there is none.

    Args:
        text: what loguru made of the message by its format.
        message: the message in there, which may look like a trace itself.
    """
    # Not `partition`, which refuses an empty message.
    start = text.find(message)
    begin = _BEGINS.search(text if start < 0 else text[start + len(message) :])
    return None if begin is None else _plain(begin.string[begin.start() :])


def _plain(trace: str) -> str:
    """The trace without empty lines, marks, and the values that `diagnose` puts below each line of code."""
    lines = []
    #: How many lines of the current frame are still to be kept: its line of code. None outside of frames.
    left: int | None = None
    for line in trace.splitlines():
        if not line.strip(" |"):
            left = None
        elif frame := _FRAME.match(line):
            lines.append(f'{frame[1]}  File "{line[frame.end() :]}')
            left = 1
        elif line.startswith(_BETWEEN):
            lines.append(f"\n{line}\n")
        elif left is None or left > 0:
            lines.append(line)
            left = left and left - 1
    return "\n".join(lines)
