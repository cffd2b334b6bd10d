"""The look-out: sees to it that what lies in the spool is sent, also by a process that never logs.

Delivery starts with the first record, and with it the thread that looks for batches of dead processes. A process that
is configured with a spool which holds some, and then logs nothing, would leave them there. So a thread waits for a few
seconds and then starts delivery. Until then the process may be forked or patched by gevent. The thread shares nothing
with the delivery that a record starts meanwhile, and is in no forked child.
"""

from __future__ import annotations

import _thread
import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import exit as ending

#: Seconds from the configuration to the start of delivery.
SECONDS = 10.0

Start = Callable[[Callable[..., object], tuple[Any, ...]], object]


def holds_batches(spool_dir: str, server_url: str, wire: str) -> bool:
    """Whether the spool has files of batches for this server in this format, whoever wrote them."""
    # Imported here, because Windows has no fcntl.
    from .spool.files import BATCH, destination

    # An OSError: nothing was ever kept there, or it cannot be read now. A ValueError: no directory can have that name.
    with contextlib.suppress(OSError, ValueError), os.scandir(Path(spool_dir, destination(server_url, wire))) as files:
        return any(BATCH.fullmatch(entry.name) for entry in files)
    return False


def look_out(deliver: Callable[[], None]) -> None:
    """In a few seconds call `deliver`, which starts delivery, if the process lives and is the same then."""
    start = _thread.start_new_thread
    # A RuntimeError: the process ends, or the system has no more threads.
    with contextlib.suppress(RuntimeError):
        start(_watch, (deliver, os.getpid(), _thread.get_ident(), start, time.sleep))


def _watch(
    deliver: Callable[[], None], pid: int, configured_in: int, start: Start, sleep: Callable[[float], None]
) -> None:
    """The thread. `start` and `sleep` are those of `_thread` and `time` as they were at configuration."""
    while True:
        sleep(SECONDS)
        # Where threads are greenlets, this one lives on in a forked child.
        if os.getpid() != pid or ending.is_exiting():
            return
        if _thread.start_new_thread is start:
            deliver()
            return
        # gevent has patched the process meanwhile. What is made here would belong to this thread, where no other
        # greenlet runs. Without a hub that can do it, no greenlet has run yet: look again later.
        hub = _hub_of(configured_in)
        if hub is not None:
            hub.loop.run_callback_threadsafe(_thread.start_new_thread, deliver, ())
            return


def _hub_of(thread: int) -> Any:
    """The hub of gevent, its event loop, in the thread with this ident; None if there is none."""
    # Looked up, not imported: an application without gevent does not have it.
    kind = getattr(sys.modules.get("gevent.hub"), "Hub", None)
    if kind is None:
        return None
    # `type`, because `isinstance` would ask each object for its class, and some run code of the application then.
    return next((each for each in gc.get_objects() if type(each) is kind and each.thread_ident == thread), None)
