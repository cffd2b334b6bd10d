"""Exceptions that nobody caught, as records: of the program, of its threads, of finalizers.

What an asyncio task was left with is not for here: asyncio logs that itself, to its logger `asyncio`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .entry.text import safe_repr, safe_text

_log = logging.getLogger("logcollector.uncaught")
#: Exceptions that are being logged in this thread: an earlier hook may be ours again, or bring us here again.
_busy = threading.local()
#: How deep exceptions may come up while exceptions are logged.
_MAX_DEPTH = 3


def capture_uncaught() -> None:
    """Log what nobody caught, with its stack trace, from now on; then let the earlier hooks act.

    The logger is `logcollector.uncaught`, so this works with any handler of `logging`. What ends the program is logged
    as CRITICAL (`FATAL` on the server), what ends a thread, or is raised where nobody can catch it
    (`__del__`, callbacks of the garbage collector), as ERROR. KeyboardInterrupt and SystemExit are left alone.
    A second call changes nothing. The hooks never raise.
    """
    _hook_program()
    _hook_threads()
    _hook_unraisable()


def _hook_program() -> None:
    earlier = sys.excepthook
    if getattr(earlier, "__module__", None) == __name__:
        return

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        with _told(logging.CRITICAL, "uncaught exception", kind, error, where):
            earlier(kind, error, where)

    sys.excepthook = hook


def _hook_threads() -> None:
    earlier = threading.excepthook
    if getattr(earlier, "__module__", None) == __name__:
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        thread = args.thread
        where = f"thread {thread.name}" if thread is not None else "a thread"
        text = f"uncaught exception in {where}"
        with _told(logging.ERROR, text, args.exc_type, args.exc_value, args.exc_traceback):
            earlier(args)

    threading.excepthook = hook


def _hook_unraisable() -> None:
    earlier = sys.unraisablehook
    if getattr(earlier, "__module__", None) == __name__:
        return

    # The object may be one that is being deleted: only its text may outlive the call.
    def hook(args: Any) -> None:
        text = f"{args.err_msg or 'exception ignored in'} {safe_repr(args.object)}"
        with _told(logging.ERROR, text, args.exc_type, args.exc_value, args.exc_traceback):
            earlier(args)

    sys.unraisablehook = hook


@contextlib.contextmanager
def _told(
    level: int,
    text: str,
    kind: type[BaseException],
    error: BaseException | None,
    where: TracebackType | None,
) -> Iterator[None]:
    """The exception is logged, and nobody logs it again meanwhile."""
    busy = _busy.__dict__.setdefault("exceptions", [])
    known = len(busy) >= _MAX_DEPTH or any(each is error for each in busy)
    busy.append(error)
    try:
        if not known and not issubclass(kind, KeyboardInterrupt | SystemExit):
            # A hook must not raise, and what logging calls is code of the application.
            with contextlib.suppress(Exception):
                described = kind.__name__ if error is None else f"{kind.__name__}: {safe_text(error, str)}"
                _log.log(level, "%s: %s", text, described, exc_info=(kind, error, where))  # type: ignore[arg-type]
        yield
    finally:
        busy.pop()
