"""The end of the process, for one handler: the calling thread does the work that the listener and the sender left.

No thread can be started any more, and those that run may take too long. What was accepted when the end began is sent
while there is time; then what a spool can keep goes to disk, and the rest is dropped and counted. What others log
meanwhile is sent if it can be, and holds nobody up.

A record that comes after that, from an exit handler or a `MemoryHandler` that is flushed last, waits for others if
`logging.shutdown()` is still to close the handler: then they are sent together. Otherwise it is sent at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from . import exit as ending
from .carrier import Carrier, step
from .clock import Clock, Waiters
from .due import Due
from .intake import Intake
from .ledger import Ledger
from .listener import BatchListener
from .outbox import BatchStore
from .process import own_threads
from .progress import Progress
from .report import Reporter
from .states import Role, State
from .threads import Threads

#: Seconds that a record waits at most for others, if more come, after the handler was drained.
_LATE_INTERVAL: Final = 0.05
#: Seconds beyond `shutdown_timeout` in which the listener may write what it has in hand to a spool.
_WRITING_LIMIT: Final = 1.0


class Pump:
    """Does the work of the listener and the sender in the calling thread.

    Args:
        changed: notified when a thread has ended, when a starter has done its work, when records are settled, and when
            `run` returns.
        shutdown_timeout: seconds for the end of the process.
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
        progress: Progress,
        threads: Threads,
        reporter: Reporter,
        clock: Clock,
        changed: Waiters,
        shutdown_timeout: float,
    ) -> None:
        self._queue = queue
        self._due = due
        self._listener = listener
        self._outbox = outbox
        self._sender = sender
        self._ledger = ledger
        self._progress = progress
        self._threads = threads
        self._reporter = reporter
        self._clock = clock
        self._changed = changed
        self._shutdown_timeout = shutdown_timeout
        self._has_begun = False
        # Idents of the threads in `run`, in order of arrival: the first does the work. A dict, as it keeps the order.
        self._pumping: dict[int, bool] = {}
        # `logging.shutdown()` will close the handler: until then, records may wait for others.
        self._will_close = False
        # When the first of the records came that wait for others. None: none waits.
        self._waiting_since: float | None = None
        # The losses were reported, and nothing follows that could report others.
        self._is_over = False

    def time_left(self) -> float:
        """Seconds until the end of the process must be over."""
        return ending.budget().left(self._shutdown_timeout)

    def will_close(self) -> None:
        """`logging.shutdown()` is going to flush and close the handler at the end of the process."""
        self._will_close = True

    # The end

    @property
    def has_begun(self) -> bool:
        """Whether `begin` was called, and no signal handler raised in it."""
        return self._has_begun

    def begin(self) -> None:
        """The process ends: send what was accepted so far, and do not wait any more. A second call does no harm."""
        self._progress.begin_exit()
        self._queue.begin_exit()
        end = self._clock.monotonic() + self.time_left()
        self._sender.exit(end)
        self._sender.hasten(end)
        self._listener.stop()
        self._has_begun = True

    def finish(self) -> None:
        """Wait for the threads, do what they left, and count what could not be sent as dropped."""
        # Where another thread goes on logging, the listener does not end.
        self._changed.wait(lambda: self._is_idle() or self._is_done_before_others(), self.time_left())
        # A thread that logged during the exit may be sending right now: do not let the end of the process cut it short.
        me = threading.get_ident()
        self._changed.wait(lambda: not self._pumping.keys() - {me} or self._progress.is_done, self.time_left())
        self.run()
        self._report()

    def _is_idle(self) -> bool:
        return self._threads.state is State.IDLE and not self._threads.is_starting

    def _is_done_before_others(self) -> bool:
        return self._progress.has_more and self._progress.is_done

    def _report(self) -> None:
        self._reporter.lost(self._ledger.lost(), at_last=True)
        self._is_over = not self._will_close

    def say_unsent(self) -> None:
        """An end that the process may survive is over: tell people what would be lost if it does not."""
        waiting = self._ledger.snapshot(self._queue.__len__).pending
        if waiting and not self._outbox.durable:
            records = "1 record" if waiting == 1 else f"{waiting} records"
            self._reporter.say(
                "unsent", f"{records} could not be sent in time, and will be lost if the process ends now"
            )

    # After it

    def late(self) -> None:
        """A record came after the end began."""
        if self._may_wait():
            return
        self.run()

    def _may_wait(self) -> bool:
        if not self._will_close or self._threads.lives(Role.LISTENER) or self._due.has_batch():
            return False
        now = self._clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since < _LATE_INTERVAL

    def flush(self, seconds: float) -> bool:
        """Send what was accepted so far, and wait for threads that do. Returns whether none of it was dropped."""
        dropped, goal, me = self._ledger.dropped, self._progress.mark, threading.get_ident()
        self.run()
        seconds = min(seconds, self.time_left())

        def is_left_alone() -> bool:
            # Another thread that is in `run` sends what this one has logged, too.
            return self._is_idle() and not self._pumping.keys() - {me}

        ending.hold(lambda: self._progress.wait(goal, seconds, or_else=is_left_alone))
        return self._progress.is_settled(goal) and self._ledger.dropped == dropped

    def close(self, seconds: float) -> None:
        """As `flush`; from now on every record is sent at once."""
        self.flush(seconds)
        self._will_close = False
        self.run()
        self._report()

    def run(self) -> None:
        """Send what there is, within the time that is left, and drop the rest.

        One thread does that at a time. It also sends what other threads log meanwhile: their calls return at once.
        """
        me = threading.get_ident()
        # A call that interrupted the journal in the middle of a write leaves the work to the call that it interrupted:
        # taking the file that is being written would leave that one without its lines.
        if me in own_threads or me in self._pumping or self._queue.is_held():
            return
        # Twice, if a thread that still found this one at work has left it a record at the last moment. Not more often:
        # another thread may go on logging for ever.
        for _ in range(2):
            try:
                # Setting an item of a dict is no call, and removing it is one: so a signal handler that raises cannot
                # leave this entry behind.
                self._pumping[me] = True
                own_threads.add(me)
                if [*self._pumping][:1] == [me]:
                    ending.hold(self._work)
            finally:
                try:
                    own_threads.discard(me)
                finally:
                    self._pumping.pop(me, None)
            self._changed.notify()
            if not self._queue or self._pumping or self._threads.lives(Role.LISTENER):
                return

    def _work(self) -> None:
        self._waiting_since = None
        goal = self._progress.mark
        self._changed.wait(lambda: not self._threads.is_starting, self.time_left())
        others_settle = True
        if self._threads.lives(Role.LISTENER):
            self._listener.wake()
        else:
            if self._threads.lives(Role.SENDER):
                self._hand_over(goal, until=self._is_time_up)
            # Asked once more: a sender that had found nothing to send may have ended meanwhile. From here on not again:
            # what one leaves that ends now is not given up, but sent by the next call.
            others_settle = self._threads.lives(Role.SENDER)
            if not others_settle:
                self._drain(goal)
        if self.time_left() <= 0 or not (others_settle or self._progress.is_settled(goal)):
            self._drop_rest()

    def _hand_over(self, goal: int, *, until: Callable[[], bool] = lambda: False) -> None:
        """Do the listener's work: put what is in the queue into the outbox, all of it or as much as goes before."""
        while not self._progress.is_batched(goal) and not until():
            taken, _ = self._listener.collect()
            if taken is None:
                return
            self._listener.handle(taken)

    def _is_time_up(self) -> bool:
        return self.time_left() <= 0

    def _drain(self, goal: int) -> None:
        """Do the work of both threads: neither is alive."""
        self._sender.exit(self._clock.monotonic() + self.time_left())
        self._hand_over(goal, until=self._is_time_up)
        while not self._progress.is_settled(goal):
            delay = step(self._sender, self._reporter)
            left = self.time_left()
            if delay is None or (delay and left <= 0):
                break
            if delay:
                self._sender.wait(min(delay, left))
        if not self._will_close and not self._is_over:
            self._sender.close()
            self._outbox.close()

    def _drop_rest(self) -> None:
        if self._outbox.durable:
            # There is no time left to send it, but writing it to disk is quick. What a journal has on disk may stay.
            goal, end = self._progress.mark, self._clock.monotonic() + _WRITING_LIMIT
            if self._threads.lives(Role.LISTENER):
                self._changed.wait(lambda: self._progress.is_batched(goal), _WRITING_LIMIT)
            else:
                self._hand_over(goal, until=lambda: self._queue.is_durable and self._clock.monotonic() > end)
        dropped = self._ledger.dropped
        if not self._queue.is_durable:
            self._listener.give_up("shutdown")
        self._outbox.drop_memory("shutdown")
        if self._is_over and self._ledger.dropped > dropped:
            self._reporter.say(
                "late",
                "a record that was logged after the end could not be sent and was dropped; "
                "if others follow it, that is not said again",
            )
