"""What structlog leaves in an event for whoever ships it: the message under another name, the wish for a stack.

structlog is looked up among the loaded modules and never imported, so these work without it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from types import FrameType
from typing import Any

from .caller import application_frame, module_of, printed_stack


class Event(dict[Any, Any]):
    """The `msg` of a record that a processor made of an event."""

    #: The name that an EventRenamer had given to the field `event` by then.
    renamed: str | None = None


def decode_texts(event: dict[Any, Any], renamed: str | None) -> None:
    """Undo what a UnicodeEncoder did, which makes bytes of every text, so that level, time and columns can be read.

    Args:
        event: the event, which is changed.
        renamed: the field with the message, if that is not `event`.
    """
    if type(event.get(renamed or "event")) is bytes:
        for name, value in event.items():
            if type(value) is bytes:
                with contextlib.suppress(UnicodeDecodeError):
                    event[name] = value.decode()


def renamed_event(frame: FrameType | None, before: object = None) -> str | None:
    """The name that an EventRenamer has given to the field `event`; None if there is no such processor.

    Looks at the chains that the call came through. They are on the stack: an event does not say what was done to it,
    and a field `msg` can as well be the user's.

    Args:
        frame: a frame inside the call.
        before: the processor that asks; those behind it have done nothing yet.
    """
    renamer = getattr(sys.modules.get("structlog.processors"), "EventRenamer", None)
    if renamer is None:
        return None
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module in ("structlog._base", "structlog.stdlib"):
            owner = frame.f_locals.get("self")
            chain = getattr(owner, "_processors", None)
            # A formatter's chain comes after that of a bound logger, which is further out.
            for each in _formatters_chain(owner) if chain is None else chain:
                if each is before:
                    break
                if isinstance(each, renamer):
                    name = each.to
                    return name if type(name) is str else None
            if chain is not None:
                return None
        frame = frame.f_back
    return None


def _formatters_chain(owner: object) -> list[Any]:
    return [*(getattr(owner, "foreign_pre_chain", None) or ()), *(getattr(owner, "processors", None) or ())]


def formatted_record(frame: FrameType) -> logging.LogRecord | None:
    """The record that a ProcessorFormatter is formatting, if the frame is that of its `format`; else None.

    Events have it as `_record` only as long as no processor has removed it.
    """
    if frame.f_code.co_name != "format" or module_of(frame) != "structlog.stdlib":
        return None
    record = frame.f_locals.get("record")
    return record if issubclass(type(record), logging.LogRecord) else None


def take_stack_info(fields: dict[Any, Any], inside: FrameType | None) -> str | None:
    """The stack that an event has or asks for in `stack_info`, as the logging functions do; None if it does neither.

    Args:
        fields: the event. `stack_info` is taken out, unless it is something else or the caller is not known.
        inside: a frame inside the call.
    """
    asked = fields.get("stack_info")
    if type(asked) not in (bool, int, str, type(None)):
        return None
    stack = asked or None
    if stack is not None and type(stack) is not str:
        caller, _ = application_frame(inside)
        if caller is None:
            return None
        stack = printed_stack(caller)
    fields.pop("stack_info", None)
    return stack
