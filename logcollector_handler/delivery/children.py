"""Children of multiprocessing and of Celery: they end without exit handlers, so their end is noticed in other ways.

A child of multiprocessing ends in `os._exit`, but runs finalizers of its own before; or its parent ends it by SIGTERM,
as `with multiprocessing.Pool()` does. A child of Celery's pool sends a signal of Celery's before it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from . import exit as ending
from .terminated import forget as forget_signals
from .terminated import install_heard

_finalizing_in: int | None = None
# Celery's signal drains its children.
_is_connected = False


def watch(draining: ending.Draining) -> None:
    """Drain this when the process ends, whichever way. A second call does no harm."""
    ending.watch(draining)
    if _is_child_of_multiprocessing():
        _watch_finalizers()
        watch_sigterm()
    _watch_celery()


def watch_forked_child() -> None:
    """In a child that was just forked: if it is one of multiprocessing, get ready for SIGTERM before it does anything.

    A child that logs in other threads first could not do it later: only the main thread installs signal handlers.
    """
    forget_signals()
    # Looked up, not imported: where nobody imported it, the child is none of multiprocessing. It calls what is
    # registered here as its next step.
    util = sys.modules.get("multiprocessing.util")
    register = getattr(util, "register_after_fork", None)
    if register is not None:
        # The object is only a key, and what is registered for it goes when it goes: a module stays.
        register(util, _after_fork_of_multiprocessing)


def _after_fork_of_multiprocessing(_: object) -> None:
    # The pool of Celery calls it, too, and its children have signals and an end of their own.
    if _is_child_of_multiprocessing():
        watch_sigterm()


def _is_child_of_multiprocessing() -> bool:
    # The function is missing while another thread is still importing the module. A child has imported it long before.
    parent: Any = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    return parent is not None and parent() is not None


def _watch_finalizers() -> None:
    global _finalizing_in
    if _finalizing_in == os.getpid():
        return
    from multiprocessing.util import Finalize

    # The low priority runs it late: other finalizers may log. It is noted as done only afterwards: if a signal handler
    # raises in between, the drain is registered twice, which does no harm.
    Finalize(None, ending.drain, exitpriority=-100)
    _finalizing_in = os.getpid()


def watch_sigterm() -> None:
    """Drain before SIGTERM kills this child, unless the application handles the signal itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        install_heard(signal.SIGTERM)


def _watch_celery() -> None:
    """Have Celery's children drain."""
    # Looked up, not imported: an application without Celery does not have it. The name is missing while another thread
    # is still importing the module.
    global _is_connected
    shutdown = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if shutdown is None or _is_connected:
        return
    try:
        # Before it is connected: a finalizer or a signal handler that logs in the middle of that must not come to
        # Celery's lock, which the interrupted code holds. Forked children have the connection, too.
        _is_connected = True
        shutdown.connect(_drain_celery_child, weak=False, dispatch_uid=__name__)
    except BaseException:
        _is_connected = False
        raise


def _drain_celery_child(**_: object) -> None:
    ending.drain()
