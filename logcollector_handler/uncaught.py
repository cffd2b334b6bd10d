"""`capture_uncaught`: logs exceptions that nobody caught, in the main program, its threads and finalizers.

Exceptions of asyncio tasks are not handled here: asyncio logs them itself, to its logger `asyncio`.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .entry.text import safe_repr, safe_text

_log = logging.getLogger("logcollector.uncaught")
#: The exceptions that this thread is logging: an earlier hook may call one of these hooks again with the same one.
_busy = threading.local()
#: The exception that was logged last as the end of the program, by its id: a reference would keep its frames alive.
_logged_last: int | None = None
#: How many exceptions a thread may be logging at once, each raised uncaught while the one before was being logged.
_MAX_DEPTH = 3
_OF_PROGRAM = "uncaught exception"


def capture_uncaught() -> None:
    """From now on log every uncaught exception with its stack trace, and then call the hook that was installed before.

    The logger is `logcollector.uncaught`, so this works with any handler of `logging`. An exception that ends the
    program is logged at CRITICAL (`FATAL` on the server); one that ends a thread, or is raised where nobody can catch
    it (`__del__`, callbacks of the garbage collector), at ERROR. KeyboardInterrupt and SystemExit are not logged.
    A second call changes nothing. Logging never makes a hook raise.

    A hook that is set later, and does not call the one before, hides exceptions from these hooks. The one that ends the
    program is logged all the same, when it ends; those of threads and finalizers are not.
    """
    _hook_program()
    _hook_threads()
    _hook_unraisable()
    # Runs before the handlers send what they have: exit handlers run in reverse order.
    atexit.unregister(_log_unheard)
    atexit.register(_log_unheard)


def _hook_program() -> None:
    earlier = sys.excepthook
    if getattr(earlier, "__module__", None) == __name__:
        return

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        global _logged_last
        _logged_last = id(error)
        with _logged(logging.CRITICAL, _OF_PROGRAM, kind, error, where):
            earlier(kind, error, where)

    sys.excepthook = hook


def _log_unheard() -> None:
    """Log the exception that ends the program, if another hook has kept it from ours."""
    # The interpreter notes it here before it calls the hook. `last_exc` is there from 3.12 on.
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if not isinstance(error, BaseException) or id(error) == _logged_last or _is_interactive():
        return
    where = error.__traceback__
    # Debuggers and test frameworks note there what they have caught, somewhere in the middle of the program. What ends
    # the program has come through its outermost frame.
    if where is not None and where.tb_frame.f_back is None:
        with _logged(logging.CRITICAL, _OF_PROGRAM, type(error), error, where):
            pass


def _is_interactive() -> bool:
    """Whether a person types the program, who sees each exception, and for whom none of them ends it."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


def _hook_threads() -> None:
    earlier = threading.excepthook
    if getattr(earlier, "__module__", None) == __name__:
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        thread = args.thread
        where = f"thread {thread.name}" if thread is not None else "a thread"
        text = f"uncaught exception in {where}"
        with _logged(logging.ERROR, text, args.exc_type, args.exc_value, args.exc_traceback):
            earlier(args)

    threading.excepthook = hook


def _hook_unraisable() -> None:
    earlier = sys.unraisablehook
    if getattr(earlier, "__module__", None) == __name__:
        return

    # The object may be in the middle of its deletion: the record must keep its repr, not the object.
    def hook(args: Any) -> None:
        text = f"{args.err_msg or 'exception ignored in'} {safe_repr(args.object)}"
        with _logged(logging.ERROR, text, args.exc_type, args.exc_value, args.exc_traceback):
            earlier(args)

    sys.unraisablehook = hook


@contextlib.contextmanager
def _logged(
    level: int,
    text: str,
    kind: type[BaseException],
    error: BaseException | None,
    where: TracebackType | None,
) -> Iterator[None]:
    """Log the exception before the `with` block; a hook called with it inside the block does not log it again."""
    busy = _busy.__dict__.setdefault("exceptions", [])
    known = len(busy) >= _MAX_DEPTH or any(each is error for each in busy)
    busy.append(error)
    try:
        if not known and not issubclass(kind, KeyboardInterrupt | SystemExit):
            # A hook must not raise, but the handlers and filters that this calls are the application's code.
            with contextlib.suppress(Exception):
                described = kind.__name__ if error is None else f"{kind.__name__}: {safe_text(error, str)}"
                _log.log(level, "%s: %s", text, described, exc_info=(kind, error, where))  # type: ignore[arg-type]
        yield
    finally:
        busy.pop()
