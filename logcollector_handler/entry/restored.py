"""Records that the standard library has rewritten on their way to the handler, given back as they were before.

- A `QueueHandler` prints the exception and the stack below the message, and takes them out of the record, so that it
  can go to another thread or process.
- `logging.captureWarnings` makes one text of a warning, its place and its line of source. The record's own place is
  the standard library's.

Only what is certain is taken apart. A message that merely quotes a trace stays whole.
"""

from __future__ import annotations

import copy
import logging
import os
import re
from typing import Any, Final

from .rendered import CAUSE, CONTEXT, RAISED, STACK, of_text

#: The logger of `captureWarnings`.
WARNINGS: Final = "py.warnings"
#: In every printed trace and stack.
PRINTED: Final = "(most recent call last):\n"

# These patterns are compiled at first use, because most processes never need them.
#: The head of a printed trace with the frame below it, or that of a group.
_TRACE: Final = (
    r"(?m)^(?:  \+ Exception Group )?Traceback \(most recent call last\):\n"
    r'(?:  \| )?  File "(?P<path>.*)", line \d+, in (?P<function>.*)$'
)
#: The head of a trace that came from another process, as the text of an exception of `concurrent` and
#: `multiprocessing`. The trace itself follows.
_REMOTE: Final = r'(?m)^[\w.]*RemoteTraceback: \n"""\n\Z'
_REMOTE_LENGTH: Final = 200
#: A printed stack at the end of a text.
_STACK_BELOW: Final = rf'\n({re.escape(STACK)}\n  File "(?:.*\n  )*.*)\Z'

#: What `warnings.formatwarning` makes: place, category, text, and perhaps the line of source.
_WARNING: Final = (
    r"(?s)(?P<path>.+?):(?P<line>\d+): (?P<category>[^\W\d]\w*): (?P<text>.*?)(?:\n  (?P<source>\S[^\n]*))?\n\Z"
)


def restored(record: logging.LogRecord) -> logging.LogRecord:
    """The record as it was before; itself if nobody has rewritten it, else a copy."""
    get = record.__dict__.get
    message = get("msg")
    if type(message) is not str:
        return record
    if get("name") == WARNINGS:
        return _warning(record)
    exception, stack = _text(get("exc_text")), _text(get("stack_info"))
    rest = message
    if not get("args"):
        # The record still has what was printed.
        for text in (stack, exception):
            if text and rest.endswith(f"\n{text}"):
                rest = rest[: -len(text) - 1]
    if _was_queued(record):
        if stack is None and (found := re.search(_STACK_BELOW, rest)):
            stack, rest = found[1], rest[: found.start()]
        if exception is None and (start := _start(rest, get("pathname"), get("funcName"))) is not None:
            exception, rest = rest[start:], rest[: start - 1]
    if rest == message:
        return record
    made = copy.copy(record)
    made.msg, made.exc_text, made.stack_info = rest, exception, stack
    return made


def _text(value: Any) -> str | None:
    return str.__str__(value) if issubclass(type(value), str) else None


def _was_queued(record: logging.LogRecord) -> bool:
    """Whether a QueueHandler has made the message, and may have printed something below it.

    An application may log such a text itself, as `traceback.format_exc()` makes it. That has no message before it, or
    a line end behind it (see `_start`); without, it can only be told from a printed exception by who made the record.
    """
    get = record.__dict__.get
    # What `QueueHandler.prepare` leaves behind.
    return get("args", ()) is None and get("message") == get("msg")


def _start(text: str, path: Any, function: Any) -> int | None:
    """Where the printed exception begins; None if there is none.

    Of several traces it is that of the function that logged, because that is where exceptions are usually caught; the
    others stand in the message, or in the text of the exception. If it is none of them, the first one. But behind a
    line end at the end of the text it must be the function that logged: there are exceptions whose text ends so, such
    as those of PostgreSQL's library, and traces that the application quotes.
    """
    traces = [*re.finditer(_TRACE, text)]
    # At the very beginning it is the message.
    first = 1 if traces and not traces[0].start() else 0
    if not traces[first:]:
        return None
    places = [(each["path"], each["function"]) for each in traces[first:]]
    if text.endswith("\n") and (path, function) not in places:
        return None
    number = first + (places.index((path, function)) if (path, function) in places else 0)
    start = traces[number].start()
    while True:
        if remote := re.search(_REMOTE, text[max(0, start - _REMOTE_LENGTH) : start]):
            start -= len(remote[0])
        joint = next((each for each in (CAUSE, CONTEXT) if text.endswith(each, 0, start)), None)
        if joint is None:
            break
        # The exception that led to this one. If it was never raised it has a line, but no trace.
        end = start - len(joint)
        line = text.rfind("\n", 0, end) + 1
        if number:
            number -= 1
            start = traces[number].start()
        elif re.match(RAISED, text[line:end]):
            start = line
        else:
            break
    return start if start and of_text(text[start:]).error_type is not None else None


def _warning(record: logging.LogRecord) -> logging.LogRecord:
    """The record of a warning, at the place of the warning; the record itself if it does not look like one."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - not a warning: somebody else logs to that logger
        return record
    found = re.fullmatch(_WARNING, text) if text.endswith("\n") else None
    if found is None:
        return record
    made = copy.copy(record)
    made.msg = f"{found['category']}: {found['text']}"
    made.args = None
    made.pathname = found["path"]
    made.filename = os.path.basename(made.pathname)
    made.module = os.path.splitext(made.filename)[0]
    made.lineno = int(found["line"])
    made.funcName = None  # type: ignore[assignment]  # nobody has noted it
    made.__dict__["category"] = found["category"]
    if found["source"]:
        made.__dict__["source"] = found["source"]
    return made
