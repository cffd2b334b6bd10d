"""Fields for every record of a request, a task or a thread: bound once, found on all that is logged there.

They are kept in a context variable, so each thread and each asyncio task has its own: a task starts with
those of the code that created it, `asyncio.to_thread` takes them along, a new thread starts with none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from .entry.bound import Bound, bound

_current: ContextVar[Bound | None] = ContextVar("logcollector_handler.context", default=None)

#: What is bound where the caller is.
current_fields = _current.get


def bind_context(**fields: Any) -> None:
    """Put these fields on every record that is logged in this context from now on, beside those bound before.

    A name of a column (`user_id`, `trace_id`, also `service`, `environment` …) fills it, others go into
    `metadata`; the `extra` of a logging call wins over them, and they win over the settings of the handler. The
    values are taken as they are now. A field that is None is not bound any more.
    """
    _current.set(bound(_current.get(), fields))


def clear_context() -> None:
    """Bind nothing any more, in this context."""
    _current.set(None)


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """`bind_context` for a `with` block. Behind it the fields are those of before, whatever was bound in it."""
    with with_fields(bound(_current.get(), fields)):
        yield


@contextmanager
def with_fields(fields: Bound | None) -> Iterator[None]:
    """Only these fields, which `current_fields` gave, are bound in the `with` block."""
    token = _current.set(fields)
    try:
        yield
    finally:
        # A generator can be resumed, and end, in another context; there is nothing to restore in that one.
        with suppress(ValueError):
            _current.reset(token)


def current_span() -> dict[str, str] | None:
    """`trace_id` and `span_id` of OpenTelemetry's current span, if the application uses that library and has one."""
    # Never imported for this: who does not use it pays for one look into a dict.
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        span = api.get_current_span().get_span_context()
        if not span.is_valid:
            return None
        return {"trace_id": format(span.trace_id, "032x"), "span_id": format(span.span_id, "016x")}
    except Exception:  # noqa: BLE001 - half imported, or a span of somebody else's making
        return None
