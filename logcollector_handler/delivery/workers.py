"""The two threads of a handler, the listener's and the sender's: their start, their end, and the waits for them.

The table in `states` says when each of them is started and when it may end.

A logging call takes no lock here and starts neither of the two itself, because a signal handler that raises may end the
call between any two of its steps. Instead, one call into the interpreter starts a third thread, the starter, in which
no signal handler runs, and the starter starts those that are missing. Several starters do no harm.

While the process goes down no thread is started; `pump` then does the work that the threads left.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Final

from . import children
from . import exit as ending
from .clock import Clock
from .intake import Intake
from .ledger import Ledger
from .listener import BatchListener
from .outbox import Outbox
from .process import current_pid, is_own_thread, leave_signals_to_others, let_others_wait, let_settle, own_work
from .progress import Progress
from .pump import Pump, step
from .report import Reporter
from .sender import Sender
from .states import ENDING, STARTED, Role, State

#: Seconds that the end of the process waits at most for a starter that has not run yet.
_STARTER_LIMIT: Final = 1.0


class Workers:
    """Has the listener and the sender do their work: in threads, and at exit in the calling thread."""

    def __init__(
        self,
        *,
        queue: Intake,
        listener: BatchListener,
        outbox: Outbox,
        sender: Sender,
        ledger: Ledger,
        shutdown_timeout: float,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self.shutdown_timeout = shutdown_timeout
        self._is_abandoned = False
        self._queue = queue
        self._listener = listener
        self._outbox = outbox
        self._sender = sender
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        # Guards the start and end of threads. Logging calls and `close` never take it.
        self._lock = threading.Lock()
        self._threads: dict[Role, threading.Thread] = {}
        # Threads that wait for one of ours to end, for a starter, or for records to be settled.
        self._changed = ledger.settled
        # A starter sets `_starting`, then looks at `_exiting`; the thread that ends the process sets the latter and
        # looks at the former. So one of them sees the other, and never do threads and the ending thread both work.
        self._exiting = False
        self._starting = False
        self._is_requested = False  # A starter was asked for and has not finished yet.
        self._progress = Progress(queue, listener, outbox, ledger)
        self._pump = Pump(
            queue=queue,
            listener=listener,
            outbox=outbox,
            sender=sender,
            ledger=ledger,
            progress=self._progress,
            reporter=reporter,
            clock=clock,
            lives=self._lives,
            is_starting=lambda: self._starting,
            changed=self._changed,
            shutdown_timeout=shutdown_timeout,
        )

    @property
    def state(self) -> State:
        """Which threads live now."""
        return State((self._lives(Role.LISTENER), self._lives(Role.SENDER)))

    def _lives(self, role: Role) -> bool:
        thread = self._threads.get(role)
        return thread is not None and thread.is_alive()

    # In a logging call

    def wake(self) -> bool:
        """Make the listener look at the queue; start the threads that are missing; at exit, do their work.

        Returns:
            False when the next record has to call this again: no thread could be started, or the process goes down.
        """
        if self._belongs_elsewhere():
            # The first that this process logs is a record of its parent, such as one that a MemoryHandler has kept.
            return False
        if self._exiting:
            self._pump.late()
            return False
        if self._lives(Role.LISTENER):
            self._listener.wake()
            if self._lives(Role.SENDER):
                return True
        return self._start()

    def urge(self) -> None:
        """An urgent record was queued: its batch is due at once."""
        if self._listener.urge():
            self.wake()

    def _start(self) -> bool:
        if ending.is_exiting():
            self.begin_exit()
            return self.wake()
        # Before anything that can fail, so that the end of the process drains the queue in any case.
        children.watch(self)
        self._listener.resume()
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

    # Starting and ending threads

    def _start_threads(self, start: object) -> None:
        """The starter: start the threads that are missing. Runs in a thread of its own, started by `start`."""
        leave_signals_to_others(start)
        has_waited = let_settle(lambda: self._listener.is_asked)
        # gevent replaces the function when it begins to patch the process. Then another pipeline takes over.
        if self._belongs_elsewhere() or start is not _thread.start_new_thread:
            return
        if has_waited:
            # What was logged before is late enough: uWSGI's first process may end soon, without exit handlers.
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
        ending.watch(self)
        for role in STARTED[self.state]:
            work = self._listen if role is Role.LISTENER else self._send
            thread = threading.Thread(target=work, name=role.value, daemon=True)
            # Noted before it starts, so that other threads see it alive before it takes anything from the queue.
            self._threads[role] = thread
            try:
                thread.start()
            except RuntimeError as error:
                self._could_not_start(error)
                return

    def _may_end(self, role: Role, delay: float | None = None) -> bool:
        """Whether the calling thread, of this role, may end. `delay`: of the sender's last step. With the lock held."""
        if ENDING[self.state] is not role or not self._listener.is_stopping:
            return False
        if role is Role.LISTENER:
            return not self._queue
        return (delay is None or self._pump.is_done) if self._exiting else len(self._outbox) == 0

    def _listen(self) -> None:
        with own_work():
            while True:
                self._listener.run()
                if self._belongs_elsewhere():
                    return
                with self._lock:
                    if self._may_end(Role.LISTENER):
                        del self._threads[Role.LISTENER]
                        break
        self._queue.relax(1)
        self._sender.wake()
        self._after_the_end()

    def _send(self) -> None:
        with own_work():
            while True:
                delay = step(self._sender, self._reporter)
                if delay == 0.0 and not (self._exiting and self._pump.is_done):
                    continue
                with self._lock:
                    if self._may_end(Role.SENDER, delay):
                        if not self._exiting:
                            # With the lock held: once it is released another sender may start, and this would close the
                            # connection of that one. At exit `pump` closes it, or goes on using it.
                            self._sender.close()
                            self._outbox.close()
                        del self._threads[Role.SENDER]
                        if not self._exiting and not self._queue:
                            ending.unwatch(self)
                        break
                self._sender.wait(delay)
        self._after_the_end()

    def _after_the_end(self) -> None:
        # The call that queued a record just before this thread ended still found it alive, and started no other.
        if self._queue and not self._exiting:
            self._start()
        self._changed.notify()

    # Flush and close

    @property
    def accepted(self) -> int:
        """How many records were accepted so far, but for those that were turned away."""
        return self._progress.mark

    def flush(self, seconds: float, or_else: Callable[[], bool] = lambda: False) -> bool:
        """Send what was accepted so far, and wait for it for at most `seconds`, or until `or_else` holds.

        Returns:
            True when all of it was delivered or dead-lettered in that time, and nothing was dropped.
        """
        if is_own_thread():
            return False
        if self._exiting:
            return self._pump.flush(seconds)
        dropped, mark = self._ledger.dropped, self._progress.mark
        self._listener.flush_to(mark)
        if not self._progress.is_settled(mark):
            # Not where the sender alone is needed and lives: that would open a closed handler again.
            if not self._progress.is_batched(mark) or self._lacks_a_thread():
                self.wake()
            self._sender.hurry()
            self._progress.wait(mark, seconds, or_else)
        return self._progress.is_settled(mark) and self._ledger.dropped == dropped

    def close(self, seconds: float) -> None:
        """Have everything sent and the threads end. Wait for that for at most `seconds`; then it goes on without us.

        The next record starts the threads again. Others that go on logging hold nobody up.
        """
        if self._exiting or ending.is_exiting():
            # Also where nothing was logged before: what comes after this is to be sent at once.
            self.begin_exit()
            self._pump.close(seconds)
            return
        mark = self._progress.mark
        if self._lacks_a_thread():
            self._start()
        self._listener.stop()
        self._sender.hurry()
        if seconds and not is_own_thread():

            def is_over() -> bool:
                if self._progress.mark > mark:  # Others go on logging.
                    return self._progress.is_settled(mark)
                return self._sender.is_hopeless or (self.state is State.IDLE and not self._queue)

            def wait(left: float) -> None:
                self._sender.hasten(self._clock.monotonic() + left)
                self._changed.wait(is_over, left)

            ending.hold_close(wait, seconds)

    def _lacks_a_thread(self) -> bool:
        """Whether there is work for a thread that is not alive."""
        sending = self._lives(Role.SENDER)
        if self._queue:
            return not (sending and self._lives(Role.LISTENER))
        return len(self._outbox) > 0 and not sending

    # The end of the process, and forks

    def will_close(self) -> None:
        """`logging.shutdown()` is going to flush and close the handler at the end of the process."""
        self._pump.will_close()

    def holds_up(self) -> bool:
        """Whether the calling thread was interrupted while it held a lock that our threads need."""
        return self._ledger.is_counting() or self._queue.is_held() or self._outbox.is_held()

    def begin_flush(self) -> None:
        """The process may end soon: send what was accepted so far."""
        self._sender.hasten(self._clock.monotonic() + self._pump.time_left())
        self.flush(0.0)

    def finish_flush(self) -> None:
        """Wait until that is done, and tell people if it is not."""
        self.flush(self._pump.time_left(), or_else=lambda: self._sender.is_hopeless)
        if not self._exiting:
            self._pump.say_unsent()

    def begin_exit(self) -> None:
        """The process goes down: there are `shutdown_timeout` seconds left, the same ones for all handlers."""
        if self._exiting:
            return
        if self._is_requested:
            # The program logged and ended at once, so the starter has not run yet. Wait for it: with threads all
            # handlers send at the same time, without them one after the other.
            self._changed.wait(lambda: not self._is_requested, min(_STARTER_LIMIT, self._pump.time_left()))
        self._exiting = True
        self._pump.begin()

    def finish_exit(self) -> None:
        """Wait for the threads, do what they left, and count what could not be sent as dropped."""
        self._pump.finish()

    def _belongs_elsewhere(self) -> bool:
        """Whether this process is not that of the pipeline, as for greenlets that live on in a forked child."""
        current_pid()  # In the child of a fork that Python did not see, this calls `abandon`.
        return self._is_abandoned

    def abandon(self) -> None:
        """In a forked child: this pipeline belongs to the parent. Close the descriptors, without using them."""
        self._is_abandoned = True
        self._sender.abandon()
        self._outbox.abandon()
        self._queue.abandon()
