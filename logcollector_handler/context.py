"""Fields that are bound once and added to every record logged in the same request, task or thread.

A context variable holds them, so each thread and each asyncio task has its own. A task starts with the fields of the
code that created it, and so does `asyncio.to_thread`. A new thread starts with none, unless Python is told to pass
the context on (`sys.flags.thread_inherit_context`, from 3.14 on). What is bound while a request is served is noted in
the request as well (`entry.bound.Request`), whichever thread or task binds it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any, Final

from .entry.bound import Bound, Request, bound, bound_for_a_time
from .entry.caller import application_frame
from .wrapping import F, wrapped

_current: ContextVar[Bound | None] = ContextVar("logcollector_handler.context", default=None)

#: Returns the fields bound in the caller's context, None if there are none.
current_fields: Final[Callable[[], Bound | None]] = _current.get


def bind_context(**fields: Any) -> None:
    """Add these fields to every record logged in this context from now on, besides those bound before.

    A field named like a column (`user_id`, `trace_id`, also `service`, `environment` …) fills that column, all others
    go into `metadata`. The `extra` of a logging call takes precedence over them, and they over the settings of the
    handler. Values are copied now: changing them later has no effect. The value None removes a field. While a request
    is served, the record of how it ended has these fields, too, also when another thread or task binds them.

    Args:
        fields: names and values, as keywords.
    """
    before = _current.get()
    now = bound(before, fields)
    _current.set(now)
    if before is not None and before.noted and before.request is not None:
        before.request.note(fields, before, now)


def clear_context() -> None:
    """Remove all fields bound in this context."""
    before = _current.get()
    if before is None or before.request is None:
        _current.set(None)
        return
    _current.set(Bound({}, before.request, noted=before.noted))
    if before.noted:
        before.request.clear()


class log_context:  # noqa: N801 - people call it as they would a function
    """`bind_context` for a `with` block. Its end restores the fields of its start, whatever was bound inside.

    As a decorator of a function or coroutine function it does so for each call.

    Args:
        fields: names and values, as keywords of `bind_context`.

    Raises:
        RuntimeError: it is entered a second time inside of its own `with` block.
    """

    def __init__(self, /, **fields: Any) -> None:
        self._fields = fields
        self._token: Token[Bound | None] | None = None

    def __enter__(self) -> None:
        if self._token is not None:
            raise RuntimeError("this log_context is entered already; make another one for the inner block")
        self._token = _current.set(bound_for_a_time(_current.get(), self._fields))

    def __exit__(self, *exception: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            _restore(token)

    def __call__(self, function: F) -> F:
        return wrapped(function, functools.partial(log_context, **self._fields))


def new_request(**fields: Any) -> Request:
    """A request that begins here, with these fields. Nothing is bound yet: see `Request.bound` and `with_fields`."""
    return Request(_current.get(), fields)


@contextmanager
def with_fields(fields: Bound | None) -> Iterator[None]:
    """Replace all bound fields by `fields`, a result of `current_fields`, for a `with` block."""
    token = _current.set(fields)
    try:
        yield
    finally:
        _restore(token)


def _restore(token: Token[Bound | None]) -> None:
    # A generator may be resumed, and end, in another context, where there is nothing to restore.
    with suppress(ValueError):
        _current.reset(token)


def structlog_fields() -> Callable[[], Bound | None] | None:
    """What returns the fields bound here and in structlog's context variables; None if structlog is not in use."""
    # Looked up, never imported: an application without structlog pays for one dict lookup at each new call site.
    return _fields_with_structlog if "structlog.contextvars" in sys.modules else None


def _fields_with_structlog() -> Bound | None:
    ours = _current.get()
    try:
        given = sys.modules["structlog.contextvars"].get_contextvars()
        # An event has of them what its chain has merged in, and left.
        if not given or application_frame(sys._getframe())[1]:
            return ours
        theirs = bound(None, given)
    except Exception:  # noqa: BLE001 - the library may be half imported
        return ours
    if ours is None or theirs is None:
        return ours or theirs
    return Bound({**theirs.fields, **ours.fields}, ours.request, noted=ours.noted)


def current_span() -> dict[str, str] | None:
    """`trace_id` and `span_id` of OpenTelemetry's current span; None without that library or without a span."""
    # Looked up, never imported: an application without OpenTelemetry pays for one dict lookup.
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        span = api.get_current_span().get_span_context()
        if not span.is_valid:
            return None
        return {"trace_id": format(span.trace_id, "032x"), "span_id": format(span.span_id, "016x")}
    except Exception:  # noqa: BLE001 - the library may be half imported, or the span an object of another library
        return None
