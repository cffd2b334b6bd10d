"""Exceptions that were turned into text or dicts before the record came here, as structlog's processors do.

They are read back as far as the columns need it: the text, the exception's type, and the frame that raised. A value
that does not look like such an exception stays a field like any other.
"""

from __future__ import annotations

# The patterns below are compiled at first use, because most processes never need them.
import re
from typing import Any, Final, NamedTuple

from .frames import without_hidden

_HEAD: Final = "Traceback (most recent call last):"
#: The first line of a traceback or of a group's; and the margin before each further line of a group's.
_BEGINS: Final = r"(?m)^(?:  \+ Exception Group )?Traceback \(most recent call last\):$"
_GROUP_MARGIN: Final = "  | "
_FRAME: Final = r'  File "(.*)", line (\d+), in (.*)'
RAISED: Final = r"((?:[^\W\d]\w*\.)*[^\W\d]\w*)(?::|$)"
STACK: Final = "Stack (most recent call last):"

CAUSE: Final = "\n\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT: Final = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
#: Levels of groups in groups; deeper ones are left out of the text.
_MAX_DEPTH: Final = 10


class Rendered(NamedTuple):
    """What is known of the exception; a part that cannot be read is None."""

    #: As the interpreter prints it.
    text: str
    error_type: str | None
    #: File, line and function that raised.
    site: tuple[str, int, str] | None


def take_exception(fields: dict[str, Any]) -> Rendered | None:
    """The exception in the field `exception`, or None. Text is taken out of the fields; dicts stay."""
    value = fields.get("exception")
    if type(value) is str and _HEAD in value:
        del fields["exception"]
        return of_text(value)
    if type(value) is list:
        try:
            return _of_dicts(value)
        except Exception:  # noqa: BLE001 - a list of something else
            return None
    return None


def take_stack(fields: dict[str, Any]) -> str | None:
    """The printed stack in the field `stack`, which is taken out; None if there is none."""
    value = fields.get("stack")
    if type(value) is not str or not value.startswith(STACK):
        return None
    del fields["stack"]
    return without_hidden(value)


def of_text(text: str) -> Rendered:
    """What a printed exception says of the last one in it: that is the one that was logged, after those that led to it.

    Its text may quote other traces, so that its own is the first one there.
    """
    text = without_hidden(text)
    end = max([0, *(text.rfind(each) + len(each) for each in (CAUSE, CONTEXT) if each in text)])
    begin = re.compile(_BEGINS).search(text, end)
    if begin is None:
        # It was never raised, or somebody prints traces in another way.
        lines = text[end:].splitlines() or [""]
        raised = re.match(RAISED, lines[0]) or re.match(RAISED, lines[-1])
        return Rendered(text, _last_name(raised), None)
    margin = _GROUP_MARGIN if begin[0].startswith(" ") else ""
    site = None
    for line in text[begin.end() + 1 :].splitlines():
        line = line.removeprefix(margin)
        if found := re.fullmatch(_FRAME, line):
            site = (found[1], int(found[2]), found[3])
        elif not line.startswith(" "):
            return Rendered(text, _last_name(re.match(RAISED, line)), site)
    return Rendered(text, None, site)


def _last_name(raised: re.Match[str] | None) -> str | None:
    return raised and raised[1].rpartition(".")[2]


def _of_dicts(stacks: list[dict[str, Any]]) -> Rendered:
    """The exception from the dicts of structlog's `dict_tracebacks`: first itself, then those that led to it."""
    last = stacks[0]
    frame = last["frames"][-1] if last["frames"] else None
    site = None if frame is None else (str(frame["filename"]), int(frame["lineno"]), str(frame["name"]))
    return Rendered(_chain_text(stacks, 0), str(last["exc_type"]), site)


def _chain_text(stacks: list[dict[str, Any]], depth: int) -> str:
    text = ""
    for stack, before in zip(reversed(stacks), [None, *reversed(stacks)], strict=False):
        if before is not None:
            text += CAUSE if before["is_cause"] else CONTEXT
        frames = [f'  File "{each["filename"]}", line {each["lineno"]}, in {each["name"]}' for each in stack["frames"]]
        said = f"{stack['exc_type']}: {stack['exc_value']}" if stack["exc_value"] else str(stack["exc_type"])
        text += "\n".join([*([_HEAD, *frames] if frames else []), said, *map(str, stack.get("exc_notes") or ())])
        if depth < _MAX_DEPTH:
            for number, inner in enumerate(stack.get("exceptions") or (), 1):
                below = _chain_text(inner, depth + 1).replace("\n", "\n    | ")
                text += f"\n  +---------------- {number} ----------------\n    | {below}"
    return text
