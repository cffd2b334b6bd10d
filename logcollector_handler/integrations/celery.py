"""Celery: adds the task's id and name to the records logged in it, and logs how each run of a task ended.

    app = Celery("shop")
    log_tasks()

Call it in the module that makes the app.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, Final

from celery import signals
from celery.app.trace import LOG_FAILURE, LOG_INTERNAL_ERROR

from logcollector_handler.context import log_context
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.entry.frameworks import told_by_us
from logcollector_handler.entry.memory import make_room
from logcollector_handler.handler import LogCollectorHandler

from .access import trace_id_of
from .ended import ended

__all__ = ["log_tasks"]

_log: Final = logging.getLogger("logcollector.task")


class _Run:
    """One run of a task, with the fields bound for its time."""

    def __init__(self, task: Any) -> None:
        self.start = SystemClock.monotonic()
        #: Whether its record is logged already. Failures and retries are logged at their own signal, because at the
        #: end of the task the exception is no longer available.
        self.logged = False
        self.outer = _current.get()
        self.context = ExitStack()
        self.context.enter_context(log_context(**_fields(task, task.request.id), **_trace(task.request)))


_current: ContextVar[_Run | None] = ContextVar("logcollector_handler.celery", default=None)

#: The tasks whose process died, and whose failure is logged: at a hard time limit Celery may signal that twice.
_lost: dict[str, None] = {}
_MAX_LOST: Final = 1024

#: The handlers of this package that were on the root logger before Celery removed them.
_kept: list[logging.Handler] = []


def log_tasks() -> None:
    """From now on bind `task_id` and `task_name` in tasks, and log how each run ended. A second call changes nothing.

    `trace_id` is bound, too, if the headers of the task's message have a `traceparent` or `trace_id`. The records go to
    the logger `logcollector.task`, with `duration_ms`: at ERROR with the stack trace for a failure, at WARNING for a
    retry and for a rejected or ignored task, else at INFO. A process of the worker's pool sends its records before it
    ends.

    Celery removes all handlers from the root logger when a worker starts. Those of this package are added again, also
    to `celery.task`, whose records do not reach the root logger. `celery worker --loglevel` sets the level.
    """
    for signal, receiver in (
        (signals.task_received, _on_received),
        (signals.task_prerun, _on_start),
        (signals.task_retry, _on_retry),
        (signals.task_failure, _on_failure),
        (signals.task_postrun, _on_end),
        (signals.celeryd_init, _remember_handlers),
        (signals.after_setup_logger, _on_logger_setup),
        (signals.after_setup_task_logger, _on_logger_setup),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"{__name__}.{receiver.__name__}")
    # What Celery logs at ERROR of a failure beside or instead of the exception that its signal brings us.
    told_by_us(_log, "celery.app.trace", LOG_FAILURE.strip(), LOG_INTERNAL_ERROR.strip())
    told_by_us(_log, "celery.worker.request", "Hard time limit (")
    # A pool process that is a new interpreter (spawn) sets up logging without the signal `celeryd_init`.
    _remember_handlers()


# A run of a task


def _on_start(task: Any, **_: Any) -> None:
    _current.set(_Run(task))


def _on_retry(sender: Any, request: Any, reason: Any, **_: Any) -> None:
    error = reason.exc if isinstance(getattr(reason, "exc", None), BaseException) else None
    _tell(logging.WARNING, sender, request.id, "is to be tried again", error)


def _on_failure(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    # In the process that ran the task the original exception is being handled; Celery's argument may be a copy made
    # for pickling. Without a run this is the parent, which signals tasks whose process died.
    if _current.get() is not None:
        _tell(logging.ERROR, sender, task_id, "failed", sys.exc_info()[1] or exception)
    elif task_id not in _lost:
        make_room(_lost, _MAX_LOST)
        _lost[task_id] = None
        _tell(logging.ERROR, sender, task_id, "failed", exception)


def _on_received(request: Any, **_: Any) -> None:
    # It may have been lost before, and is delivered again.
    _lost.pop(request.id, None)


def _on_end(task: Any, task_id: str, state: str | None, **_: Any) -> None:
    run = _current.get()
    if run is None:  # log_tasks() was called while the task was running.
        return
    if not run.logged:
        level, how = logging.WARNING, f"ended as {state or 'it was interrupted'}"
        if state == "SUCCESS":
            level, how = logging.INFO, "succeeded"
        elif state is None and _is_over_limit(run, task):
            # The worker's main process logs the failure.
            level, how = logging.INFO, "was ended at its hard time limit"
        _tell(level, task, task_id, how, None)
    run.context.close()
    _current.set(run.outer)


def _is_over_limit(run: _Run, task: Any) -> bool:
    limit = (task.request.timelimit or (None,))[0] or task.time_limit or task.app.conf.task_time_limit
    return limit is not None and SystemClock.monotonic() - run.start >= limit


def _tell(level: int, task: Any, task_id: str, how: str, error: BaseException | None) -> None:
    fields = _fields(task, task_id)
    run = _current.get()
    message = "task %s %s"
    args: tuple[Any, ...] = (task.name, how)
    if run is not None:
        run.logged = True
        fields["duration_ms"] = took = (SystemClock.monotonic() - run.start) * 1000
        message, args = f"{message} after %.1f ms", (*args, took)
    ended(_log, level, message, args, function=getattr(task, "run", None), fields=fields, error=error)


def _fields(task: Any, task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "task_name": task.name}


def _trace(request: Any) -> dict[str, str]:
    headers = request.headers or {}

    def header(name: str) -> str | None:
        value = headers.get(name) or request.get(name)
        return value if isinstance(value, str) else None

    trace_id = trace_id_of(header("traceparent")) or header("trace_id")
    return {} if trace_id is None else {"trace_id": trace_id}


# The worker


def _remember_handlers(**_: Any) -> None:
    _kept[:] = [each for each in logging.getLogger().handlers if isinstance(each, LogCollectorHandler)]


def _on_logger_setup(logger: logging.Logger, **_: Any) -> None:
    # Otherwise the handlers on the root logger get the records by propagation.
    if logger.parent is None or not logger.propagate:
        for each in _kept:
            if each not in logger.handlers:
                logger.addHandler(each)
