"""The threads of a handler, the listener's and the sender's: which of them live, their start, their work, their end.

The table in `states` says when each of them is started and when it may end.

A logging call takes no lock here and starts neither of the two itself, because a signal handler that raises may end the
call between any two of its steps. Instead, one call into the interpreter starts a third thread, the starter, in which
no signal handler runs, and the starter starts those that are missing. Several starters do no harm.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Final

from . import exit as ending
from .carrier import Carrier, step
from .clock import Waiters
from .intake import Intake
from .listener import BatchListener
from .outbox import BatchStore
from .process import current_pid, leave_signals_to_others, let_others_wait, let_settle, own_work
from .progress import Progress
from .report import Reporter
from .states import ENDING, STARTED, Role, State

#: Seconds that the end of the process waits at most for a starter that has not run yet.
_STARTER_LIMIT: Final = 1.0


class Threads:
    """Has the listener and the sender do their work in threads.

    Args:
        changed: notified when a thread has ended, and when a starter has done its work.
        draining: what `exit` drains at the end of the process while a thread may have something left.
        wake: called by a thread that ended when a record came, whose logging call still found it alive. The threads
            that it starts end as well, as the handler may have been closed again since.
    """

    def __init__(
        self,
        *,
        queue: Intake,
        listener: BatchListener,
        outbox: BatchStore,
        sender: Carrier,
        progress: Progress,
        reporter: Reporter,
        changed: Waiters,
        draining: ending.Draining,
        wake: Callable[[], object],
    ) -> None:
        self._queue = queue
        self._listener = listener
        self._outbox = outbox
        self._sender = sender
        self._progress = progress
        self._reporter = reporter
        self._changed = changed
        self._draining = draining
        self._wake = wake
        # Guards the start and end of threads. Logging calls and `close` never take it.
        self._lock = threading.Lock()
        self._by_role: dict[Role, threading.Thread] = {}
        # A starter sets `_starting`, then looks at `_exiting`; the thread that ends the process sets the latter and
        # looks at the former. So one of them sees the other, and never do threads and the ending thread both work.
        self._exiting = False
        self._starting = False
        self._is_requested = False  # A starter was asked for and has not finished yet.
        self._is_abandoned = False

    @property
    def state(self) -> State:
        """Which threads live now."""
        return State((self.lives(Role.LISTENER), self.lives(Role.SENDER)))

    def lives(self, role: Role) -> bool:
        """Whether the thread of a role lives now."""
        thread = self._by_role.get(role)
        return thread is not None and thread.is_alive()

    @property
    def settles(self) -> bool:
        """Whether a thread lives that settles batches: the sender's; or the listener's, where that does both."""
        return self.lives(Role.SENDER if self._sender.has_thread else Role.LISTENER)

    @property
    def missing(self) -> tuple[Role, ...]:
        """The threads that a record needs and that do not live now."""
        return tuple(role for role in STARTED[self.state] if role is Role.LISTENER or self._sender.has_thread)

    @property
    def is_starting(self) -> bool:
        """Threads are being started right now."""
        return self._starting

    @property
    def is_exiting(self) -> bool:
        """The process goes down: no thread is started any more."""
        return self._exiting

    def wait_for_starter(self, seconds: float) -> None:
        """The process goes down: a starter that was asked for and has not run gets its turn, within that time."""
        if self._is_requested:
            # The program logged and ended at once, so the starter has not run yet. Wait for it: with threads all
            # handlers send at the same time, without them one after the other.
            self._changed.wait(lambda: not self._is_requested, min(_STARTER_LIMIT, seconds))

    def begin_exit(self) -> None:
        """The process goes down: start no thread any more."""
        self._exiting = True

    def belong_elsewhere(self) -> bool:
        """Whether this process is not that of the pipeline, as for greenlets that live on in a forked child."""
        current_pid()  # In the child of a fork that Python did not see, this calls `abandon`.
        return self._is_abandoned

    def abandon(self) -> None:
        """In a forked child: the threads are the parent's."""
        self._is_abandoned = True

    # The start

    def start(self) -> bool:
        """Start the starter. Returns False when no thread could be started: then the next record has to try again."""
        try:
            self._is_requested = True
            start = _thread.start_new_thread
            start(self._start_threads, (start,))
        except BaseException as error:
            self._is_requested = False
            if not isinstance(error, RuntimeError):
                raise
            self._could_not_start(error)
            return False
        let_others_wait()
        return True

    def _could_not_start(self, error: RuntimeError) -> None:
        """The interpreter goes down, or the system has no more threads. The next record tries again."""
        self._queue.relax(1)
        # From 3.12 on a starter can come when the interpreter goes down already, whose end then sends what waits.
        if "interpreter shutdown" not in str(error):
            self._reporter.say("threads", f"no thread could be started to send logs ({error}); they wait")

    def _start_threads(self, start: object) -> None:
        """The starter: start the threads that are missing. Runs in a thread of its own, started by `start`."""
        leave_signals_to_others(start)
        is_late = let_settle(lambda: self._listener.is_asked)
        # gevent replaces the function when it begins to patch the process. Then another pipeline takes over.
        if self.belong_elsewhere() or start is not _thread.start_new_thread:
            return
        if is_late:
            # What was logged before has waited long enough: uWSGI's first process may end soon, without exit handlers.
            self._listener.flush_to(self._progress.mark)
        with own_work(), self._lock:
            self._starting = True
            try:
                # The caller that asked for this raised it. Lowered before `_is_done` looks for entries that came since.
                self._queue.relax(1)
                if not self._exiting and not self._is_done():
                    self._start_missing()
            finally:
                self._starting = self._is_requested = False
        self._changed.notify()

    def _is_done(self) -> bool:
        """Whether no thread is needed: an earlier starter's threads have done the work and ended after `close`."""
        idle = self._listener.is_stopping and self.state is State.IDLE
        return idle and not self._queue and len(self._outbox) == 0

    def _start_missing(self) -> None:
        """Called with the lock held."""
        # `_start` did this too, but the previous sender may have unregistered since then, when it ended.
        ending.watch(self._draining)
        for role in self.missing:
            work = self._listen if role is Role.LISTENER else self._send
            thread = threading.Thread(target=work, name=role.value, daemon=True)
            # Noted before it starts, so that other threads see it alive before it takes anything from the queue.
            self._by_role[role] = thread
            try:
                thread.start()
            except RuntimeError as error:
                self._could_not_start(error)
                return

    # The work and the end

    def _may_end(self, role: Role, delay: float | None = None) -> bool:
        """Whether the calling thread, of this role, may end. `delay`: of the sender's last step. With the lock held."""
        if ENDING[self.state] is not role or not self._listener.is_stopping:
            return False
        if role is Role.LISTENER:
            return not self._queue
        return (delay is None or self._progress.is_done) if self._exiting else len(self._outbox) == 0

    def _listen(self) -> None:
        with own_work():
            while True:
                self._listener.run()
                if self.belong_elsewhere():
                    return
                with self._lock:
                    if self._may_end(Role.LISTENER):
                        if not self._sender.has_thread:
                            self._close()
                        del self._by_role[Role.LISTENER]
                        break
        self._queue.relax(1)
        self._sender.wake()
        self._after_the_end()

    def _send(self) -> None:
        with own_work():
            while True:
                delay = step(self._sender, self._reporter)
                if delay == 0.0 and not (self._exiting and self._progress.is_done):
                    continue
                with self._lock:
                    if self._may_end(Role.SENDER, delay):
                        self._close()
                        del self._by_role[Role.SENDER]
                        break
                self._sender.wait(delay)
        self._after_the_end()

    def _close(self) -> None:
        """The thread that settles batches has settled all of them. Called with the lock held."""
        if not self._exiting:
            # Once the lock is released another thread may start, and this would close the connection of that one. At
            # exit `pump` closes it, or goes on using it.
            self._sender.close()
            self._outbox.close()
            if not self._queue:
                ending.unwatch(self._draining)

    def _after_the_end(self) -> None:
        # The call that queued a record just before this thread ended still found it alive, and started no other.
        if self._queue and not self._exiting:
            self._wake()
        self._changed.notify()
