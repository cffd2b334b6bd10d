"""What others ask of a handler's delivery: to wake it, to flush, to close, and to end with the process.

`threads` has the listener and the sender do their work. While the process goes down no thread is started; `pump` then
does the work that the threads left.
"""

from __future__ import annotations

from collections.abc import Callable

from . import children
from . import exit as ending
from .carrier import Carrier
from .clock import Clock
from .due import Due
from .intake import Intake
from .ledger import Ledger
from .listener import BatchListener
from .outbox import BatchStore
from .process import is_own_thread
from .progress import Progress
from .pump import Pump
from .report import Reporter
from .states import Role, State
from .threads import Threads


class Workers:
    """Has the listener and the sender do their work: in threads, and at exit in the calling thread.

    `exit` knows it while there may be something left to do.
    """

    def __init__(
        self,
        *,
        queue: Intake,
        due: Due,
        listener: BatchListener,
        outbox: BatchStore,
        sender: Carrier,
        ledger: Ledger,
        shutdown_timeout: float,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self.shutdown_timeout = shutdown_timeout
        self._queue = queue
        self._due = due
        self._listener = listener
        self._outbox = outbox
        self._sender = sender
        self._ledger = ledger
        self._clock = clock
        # Threads that wait for one of ours to end, for a starter, or for records to be settled.
        self._changed = ledger.settled
        self._progress = Progress(queue, listener, outbox, ledger)
        self._threads = Threads(
            queue=queue,
            listener=listener,
            outbox=outbox,
            sender=sender,
            progress=self._progress,
            reporter=reporter,
            changed=self._changed,
            draining=self,
            wake=lambda: self.wake(reopen=False),
        )
        self._pump = Pump(
            queue=queue,
            due=due,
            listener=listener,
            outbox=outbox,
            sender=sender,
            ledger=ledger,
            progress=self._progress,
            threads=self._threads,
            reporter=reporter,
            clock=clock,
            changed=self._changed,
            shutdown_timeout=shutdown_timeout,
        )

    @property
    def state(self) -> State:
        """Which threads live now."""
        return self._threads.state

    # In a logging call

    def wake(self, *, reopen: bool = True) -> bool:
        """Make the listener look at the queue; start the threads that are missing; at exit, do their work.

        Args:
            reopen: for a record, which opens a closed handler again. Otherwise threads that are started end when they
                have done what there is, so that no `close` waits in vain for them.

        Returns:
            False when the next record has to call this again: no thread could be started, or the process goes down.
        """
        if self._threads.belong_elsewhere():
            # The first that this process logs is a record of its parent, such as one that a MemoryHandler has kept.
            return False
        if self._threads.is_exiting:
            self._pump.late()
            return False
        if self._threads.lives(Role.LISTENER):
            self._listener.wake()
            if not self._threads.missing:
                return True
        return self._start(reopen=reopen)

    def urge(self) -> None:
        """An urgent record was queued: its batch is due at once."""
        if self._due.urge():
            self.wake()

    def _start(self, *, reopen: bool) -> bool:
        if not ending.is_exiting():
            # Before anything that can fail, so that the end of the process drains the queue in any case.
            children.watch(self)
        # Asked after that, so that an end that begins from here on knows of this handler.
        if ending.is_exiting():
            self.begin_exit()
            return self.wake()
        if reopen:
            self._listener.resume()
        return self._threads.start()

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
        if self._threads.is_exiting:
            return self._pump.flush(seconds)
        dropped, mark = self._ledger.dropped, self._progress.mark
        self._listener.flush_to(mark)
        if not self._progress.is_settled(mark):
            # Not where the sender alone is needed and lives: that would start a listener that has nothing to do.
            if not self._progress.is_batched(mark) or self._lacks_a_thread():
                self.wake(reopen=False)
            self._sender.hurry()
            self._progress.wait(mark, seconds, or_else)
        return self._progress.is_settled(mark) and self._ledger.dropped == dropped

    def close(self, seconds: float) -> None:
        """Have everything sent and the threads end. Wait for that for at most `seconds`; then it goes on without us.

        The next record starts the threads again. Others that go on logging hold nobody up.
        """
        if self._threads.is_exiting or ending.is_exiting():
            # Also where nothing was logged before: what comes after this is to be sent at once.
            self.begin_exit()
            self._pump.close(seconds)
            return
        mark = self._progress.mark
        if self._lacks_a_thread():
            self._start(reopen=False)
        self._listener.stop()
        self._sender.hurry()
        if seconds and not is_own_thread():

            def is_over() -> bool:
                # Others go on logging. The record of the call that opens the handler again may be among ours.
                if self._progress.mark > mark or not self._listener.is_stopping:
                    return self._progress.is_settled(mark)
                # In this order: the thread that has emptied the queue lives until what it took is in the outbox.
                return self._sender.is_hopeless or (not self._queue and self._threads.state is State.IDLE)

            def wait(left: float) -> None:
                self._sender.hasten(self._clock.monotonic() + left)
                self._changed.wait(is_over, left)

            ending.hold_close(wait, seconds)

    def _lacks_a_thread(self) -> bool:
        """Whether there is work for a thread that is not alive."""
        if self._queue:
            return bool(self._threads.missing)
        return len(self._outbox) > 0 and not self._threads.settles

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
        if not self._threads.is_exiting:
            self._pump.say_unsent()

    def begin_exit(self) -> None:
        """The process goes down: there are `shutdown_timeout` seconds left, the same ones for all handlers."""
        if self._pump.has_begun:
            return
        self._threads.wait_for_starter(self._pump.time_left())
        self._threads.begin_exit()
        self._pump.begin()

    def finish_exit(self) -> None:
        """Wait for the threads, do what they left, and count what could not be sent as dropped."""
        self.begin_exit()  # For the case that a signal handler raised in the first call.
        self._pump.finish()

    def abandon(self) -> None:
        """In a forked child: this pipeline belongs to the parent. Close the descriptors, without using them."""
        self._threads.abandon()
        self._sender.abandon()
        self._outbox.abandon()
        self._queue.abandon()
