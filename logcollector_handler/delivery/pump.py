"""The end of the process, for one handler: what the threads left is done by the thread that asks for it.

No thread can be started any more, and those that run may take too long. What is there is sent until the time is over;
then what can be kept goes to disk, and the rest is dropped and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import exit as ending
from .clock import Clock, Waiters
from .ledger import Ledger
from .listener import BatchListener
from .outbox import Outbox
from .process import own_threads
from .queue import Intake
from .report import Reporter
from .sender import Sender
from .states import Role


class Pump:
    """Does the work of the listener and the sender in the calling thread.

    Args:
        lives: whether the thread of a role lives.
        is_starting: whether threads are being started.
        ended: notified when one of these answers may have changed, and when a thread stops pumping.
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
        # The threads that want to do the work; the first of them does it.
        self._pumping: dict[int, bool] = {}

    def time_left(self) -> float:
        """Seconds until the end of the process must be over."""
        return max(0.0, self._shutdown_timeout - ending.spent())

    def wait_for_others(self) -> None:
        """Let another thread that does the work finish, within the time that is left."""
        self._ended.wait(lambda: not self._pumping, self.time_left())

    def run(self) -> None:
        """Send what there is, within the time that is left, and drop the rest.

        One thread does that at a time; what others log meanwhile it sends too.
        """
        me = threading.get_ident()
        if me in own_threads or me in self._pumping:
            return
        while True:
            try:
                # A claim that an exception out of a signal handler cannot leave behind: an item of a dict is set
                # without a call, and taken back by one call.
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
            # What came in the last moment, from a thread that found this one pumping.
            if not self._queue or self._pumping or self._lives(Role.LISTENER):
                return

    def _work(self) -> None:
        self._ended.wait(lambda: not self._is_starting(), self.time_left())
        if self._lives(Role.LISTENER):
            self._listener.wake()
        elif self._lives(Role.SENDER):
            self._hand_over()
        else:
            self._drain()
        if self.time_left() <= 0 or not self._lives(Role.SENDER):
            self._drop_rest()

    def _hand_over(self) -> None:
        """Do the listener's work: put everything in the queue into the outbox."""
        while (taken := self._listener.collect()[0]) is not None:
            self._listener.handle(taken)

    def _drain(self) -> None:
        """Do the work of both."""
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
            # The disk takes what the network has no time for.
            self._hand_over()
        self._outbox.drop_memory("shutdown")
        if not self._queue.is_durable:
            self._listener.give_up("shutdown")
        self._reporter.lost(self._ledger.lost(), at_last=True)


def step(sender: Sender, reporter: Reporter) -> float | None:
    """One step of the sender; see there. An error of its own is said, and the next step comes a second later."""
    try:
        return sender.step()
    except Exception as error:  # noqa: BLE001 - the batch is still in the outbox, and the others go on
        reporter.say("internal_error", f"sending failed on an error of its own: {error!r}")
        return 1.0
