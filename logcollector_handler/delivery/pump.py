"""The end of the process, for one handler: the calling thread does the work that the listener and the sender left.

No thread can be started any more, and those that run may take too long. Everything is sent while there is time; then
what a spool can keep goes to disk, and the rest is dropped and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import exit as ending
from .clock import Clock, Waiters
from .intake import Intake
from .ledger import Ledger
from .listener import BatchListener
from .outbox import Outbox
from .process import own_threads
from .report import Reporter
from .sender import Sender
from .states import Role


class Pump:
    """Does the work of the listener and the sender in the calling thread.

    Args:
        lives: whether the thread of a role is alive.
        is_starting: whether threads are being started.
        ended: notified when one of these two answers may have changed, and when `run` returns.
        shutdown_timeout: seconds for the end of the process.
    """

    def __init__(
        self,
        *,
        queue: Intake,
        listener: BatchListener,
        outbox: Outbox,
        sender: Sender,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        lives: Callable[[Role], bool],
        is_starting: Callable[[], bool],
        ended: Waiters,
        shutdown_timeout: float,
    ) -> None:
        self._queue = queue
        self._listener = listener
        self._outbox = outbox
        self._sender = sender
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._lives = lives
        self._is_starting = is_starting
        self._ended = ended
        self._shutdown_timeout = shutdown_timeout
        # Idents of the threads in `run`, in order of arrival: the first does the work. A dict, as it keeps the order.
        self._pumping: dict[int, bool] = {}

    def time_left(self) -> float:
        """Seconds until the end of the process must be over."""
        return max(0.0, self._shutdown_timeout - ending.spent())

    def wait_for_others(self) -> None:
        """Wait until no other thread is doing the work, within the time that is left."""
        self._ended.wait(lambda: not self._pumping, self.time_left())

    def run(self) -> None:
        """Send what there is, within the time that is left, and drop the rest.

        One thread does that at a time. It also sends what other threads log meanwhile: their calls return at once.
        """
        me = threading.get_ident()
        # A call that interrupted the journal in the middle of a write leaves the work to the call that it interrupted:
        # taking the file that is being written would leave that one without its lines.
        if me in own_threads or me in self._pumping or self._queue.is_held():
            return
        while True:
            try:
                # Setting an item of a dict is no call, and removing it is one: so a signal handler that raises cannot
                # leave this entry behind.
                self._pumping[me] = True
                own_threads.add(me)
                if [*self._pumping][:1] == [me]:
                    self._work()
            finally:
                try:
                    own_threads.discard(me)
                finally:
                    self._pumping.pop(me, None)
            self._ended.notify()
            # Once more, if a thread that still found this one at work has left it a record at the last moment.
            if not self._queue or self._pumping or self._lives(Role.LISTENER):
                return

    def _work(self) -> None:
        self._ended.wait(lambda: not self._is_starting(), self.time_left())
        if self._lives(Role.LISTENER):
            self._listener.wake()
        else:
            if self._lives(Role.SENDER):
                self._hand_over()
            # Not `elif`: a sender that had found nothing to send may have ended meanwhile.
            if not self._lives(Role.SENDER):
                self._drain()
        if self.time_left() <= 0 or not self._lives(Role.SENDER):
            self._drop_rest()

    def _hand_over(self) -> None:
        """Do the listener's work: put everything in the queue into the outbox."""
        while (taken := self._listener.collect()[0]) is not None:
            self._listener.handle(taken)

    def _drain(self) -> None:
        """Do the work of both threads: neither is alive."""
        start = self._clock.monotonic()
        self._sender.exit(start + self.time_left())
        while True:
            taken, _ = self._listener.collect()
            if taken is not None:
                self._listener.handle(taken)
            elif step(self._sender, self._reporter) != 0.0 and not self._queue:
                break
        self._sender.close()
        self._outbox.close()
        ending.spend(self._clock.monotonic() - start)

    def _drop_rest(self) -> None:
        if self._outbox.durable and not self._lives(Role.LISTENER):
            # There is no time left to send it, but writing it to disk is quick.
            self._hand_over()
        self._outbox.drop_memory("shutdown")
        if not self._queue.is_durable:
            self._listener.give_up("shutdown")
        self._reporter.lost(self._ledger.lost(), at_last=True)


def step(sender: Sender, reporter: Reporter) -> float | None:
    """`Sender.step`. An unexpected error in it is reported on stderr, and the next step comes a second later."""
    try:
        return sender.step()
    except Exception as error:  # noqa: BLE001 - the batch is still in the outbox, and the thread must go on
        reporter.say("internal_error", f"sending failed on an error of its own: {error!r}")
        return 1.0
