"""The sender: takes batches from the outbox, posts them one at a time, and settles each by its answer.

    choose    `suspects` says which batch is next
    post      `transport` makes the request
    settle    `answers` says what the answer means, `suspects` what follows from it, and `settlement` does that

`step` does at most one request and says how long to wait for the next, so tests drive the whole behaviour without a
thread and without time passing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

from logcollector_handler.settings import Settings
from logcollector_handler.wire.format import Format

from .answers import Answer, classify, retry_after
from .batch import Batch
from .clock import Clock, Wakeup
from .ledger import Ledger
from .outbox import Outbox
from .pace import Pace
from .process import current_pid, own_work
from .report import Reporter
from .settlement import Settlement
from .suspects import Suspects

#: Of the system: drawing from `random` itself would change what an application draws that has seeded it, and the
#: children of a fork would all wait equally long.
_chance: Final = random.SystemRandom().random


class Transport(Protocol):
    """What the sender asks of the network."""

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        """Post a batch and wait for the answer, that many seconds at most from start to end. Never raises."""

    def close(self) -> None:
        """Close the connection. It opens again with the next request."""

    def abandon(self) -> None:
        """In a forked child: close the inherited descriptor, and touch nothing else."""


class Sender:
    """Posts the outbox's batches, in order but for those that are set aside.

    One thread calls `step`. The other methods but `close` may be called from any thread. See `Carrier`.
    """

    has_thread = True

    def __init__(
        self,
        *,
        settings: Settings,
        wire: Format,
        outbox: Outbox,
        connect: Callable[[], Transport],
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        idle: Wakeup,
        chance: Callable[[], float] = _chance,
    ) -> None:
        """Make a sender. It opens no connection before its first request.

        Args:
            connect: opens the network, with the first request.
            reporter: where people are told of trouble.
            idle: set when an attempt leaves nothing else to send, so that the next batch need not grow any more.
            chance: random numbers from 0 to 1, for the jitter of waits.
        """
        self._settings = settings
        self._outbox = outbox
        self._connect = connect
        self._ledger = ledger
        self._clock = clock
        self._idle = idle
        self._chance = chance
        self._wakeup = Wakeup()
        self._suspects = Suspects(settings.max_retries)
        self._pace = Pace(settings.max_batch_bytes)
        self._most_bytes = wire.max_batch_bytes
        self._settlement = Settlement(
            settings=settings,
            wire=wire,
            outbox=outbox,
            ledger=ledger,
            suspects=self._suspects,
            pace=self._pace,
            reporter=reporter,
            clock=clock,
            chance=chance,
        )
        self._transport: Transport | None = None
        self._abandoned = False
        # Monotonic seconds before which nothing is sent. A flush does not shorten a firm hold.
        self._hold = 0.0
        self._hold_is_firm = False
        # Monotonic seconds at which the process stops waiting, once it goes down.
        self._exit_at: float | None = None
        self.request_seconds: float = 0.0  #: How long the last request took; 0 before the first.

    @property
    def busy(self) -> bool:
        """It has a batch to send, so that another small one would only wait behind it."""
        return self._outbox.next() is not None

    @property
    def compressing(self) -> bool:
        """The settings want compressed bodies, and the server has not refused one for that."""
        return self._settlement.compressing

    @property
    def batch_bytes(self) -> int:
        """The largest size of a batch before compression: `max_batch_bytes`, or less while the line is slow."""
        return self._pace.batch_bytes

    def wake(self) -> None:
        """There may be something to do."""
        self._wakeup.set()

    def wait(self, seconds: float | None) -> None:
        """Wait for that long (None: for ever), or until woken."""
        self._wakeup.wait(seconds)

    def hurry(self) -> None:
        """Somebody waits for the batches: end the present rest, unless it is firm."""
        if not self._hold_is_firm:
            self._hold = 0.0
        self._wakeup.set()

    def hasten(self, end: float) -> None:
        """The process ends: end the present rest, and until then (monotonic seconds) try again after short ones."""
        self._suspects.hasten(end)
        self._end_rest(end)
        self._wakeup.set()

    def _end_rest(self, end: float) -> None:
        # A rest that the server asked for is kept if it is over before.
        if not self._hold_is_firm or self._hold >= end:
            self._hold = 0.0

    def exit(self, end: float) -> None:
        """The process ends for sure: from then on (monotonic seconds) nothing is sent any more."""
        self._suspects.end_at(end)
        self._exit_at = end

    @property
    def is_hopeless(self) -> bool:
        """The process ends, and the settings are wrong: nothing can be sent before it does."""
        # What was found before the end began says nothing until the attempt that is made because of it.
        return not self._suspects.is_hastened and self._suspects.is_hopeless(self._clock.monotonic())

    def close(self) -> None:
        """Close the connection. The next request opens another."""
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        """In a forked child: release what the parent uses, without using it, and never send again."""
        self._abandoned = True
        if self._transport is not None:
            self._transport.abandon()

    def step(self) -> float | None:
        """Do the next thing that is due, at most one request.

        Returns:
            Seconds until something may be due: 0 for now, None for when woken.
        """
        current_pid()  # Calls `abandon` where this is a greenlet of the parent that runs on in a forked child.
        if self._abandoned:
            return None
        now = self._clock.monotonic()
        next_look = self._outbox.look() if self._exit_at is None else None
        if self._exit_at is None or now < self._exit_at:
            if now < self._hold and not self._suspects.is_hopeless(now):
                return self._if_in_time(self._hold - now, now)
            batch = self._suspects.choose(self._outbox.next(), now)
            if batch is not None:
                with own_work():
                    self._attempt(batch, now)
                return 0.0
        if refused := self._suspects.give_up_refused():
            for batch, reason in refused:
                self._settlement.bury(batch, reason)
            return 0.0
        due = self._if_in_time(self._suspects.due_in(now), now)
        return min((each for each in (due, next_look) if each is not None), default=None)

    def _if_in_time(self, delay: float | None, now: float) -> float | None:
        """A delay, or None if it ends when the process has no time left."""
        if delay is None or self._exit_at is None or now + delay < self._exit_at:
            return delay
        return None

    # Post

    def _attempt(self, chosen: Batch, now: float) -> None:
        batch = self._outbox.begin(chosen)
        if batch is None or batch.body is None:
            self._suspects.forget(chosen)
            return
        # One that was made before the line was found to be slow is split now, if there is room for its parts. One that
        # a dead process made, by settings of its own, may be stored under its id already: it is tried as it is.
        most = self._most_bytes if batch.adopted and not self._pace.is_slow else self._pace.batch_bytes
        is_large = batch.encoded_bytes > most and self._suspects.may_split(batch)
        if is_large and self._settlement.split(batch, blamed=False):
            self._outbox.end(batch)
            return
        self._ledger.request()
        if self._transport is None:
            self._transport = self._connect()
        seconds = self._settings.timeout if self._exit_at is None else min(self._settings.timeout, self._exit_at - now)
        start = self._clock.monotonic()
        answer = self._transport.post(batch.id, batch.body, batch.compressed, seconds)
        self.request_seconds = self._clock.monotonic() - start
        current_pid()
        if self._abandoned:
            return
        self._settle(batch, answer)
        # After it is settled: until then it could be dropped for room although it was delivered.
        self._outbox.end(batch)
        # Not every batch was counted, which would have notified: another process may have settled it.
        self._ledger.settled.notify()
        if not self.busy:
            self._idle.set()

    # Settle

    def _settle(self, batch: Batch, answer: Answer) -> None:
        now, end = self._clock.monotonic(), self._suspects.end
        verdict = classify(answer, compressed=batch.compressed)
        if answer.lost:
            self._outbox.note_lost_answer(batch)
        ruling = self._suspects.ended(
            batch,
            verdict,
            now=now,
            chance=self._chance(),
            detail=answer.detail,
            lost=answer.lost,
            asked=retry_after(answer.retry_after, self._clock.time()) or 0.0,
        )
        self._hold_is_firm = ruling.firm
        self._hold = now + ruling.rest if ruling.rest else 0.0
        if self._suspects.end != end:
            # The end has begun since then, and could only end the rest before this one.
            self._end_rest(self._suspects.end)
        if self._suspects.passes_over(batch):
            self._outbox.set_aside(batch)
        self._settlement.follow(batch, answer, verdict, ruling, exiting=self._exit_at is not None)
