"""The sender: takes batches from the outbox, posts them one at a time, and settles each by its answer.

    choose    `suspects` says which batch is next
    post      `transport` makes the request
    settle    `answers` says what the answer means, `suspects` what follows from it; the outbox and the ledger are told

`step` does at most one request and says how long to wait for the next, so tests drive the whole behaviour without a
thread and without time passing. What people read about the server on stderr is said here, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from logcollector_handler.settings import Settings
from logcollector_handler.wire.format import Format

from .answers import CONFIGURATION_RETRY, Answer, Verdict, advice, classify, retry_after
from .batch import Batch
from .clock import Clock, Wakeup
from .ledger import Ledger
from .outbox import Outbox, Replaced
from .process import current_pid, own_work
from .report import Reporter
from .suspects import Suspects


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

    One thread calls `step`. The other methods but `close` may be called from any thread.
    """

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
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Make a sender. It opens no connection before its first request.

        Args:
            settings: the limits of a request, and what is secret.
            wire: the format of the batches.
            outbox: where the batches are.
            connect: opens the network, with the first request.
            reporter: where people are told of trouble.
            idle: set when an attempt leaves nothing else to send, so that the next batch need not grow any more.
            chance: random numbers from 0 to 1, for the jitter of waits.
        """
        self._settings = settings
        self._wire = wire
        self._outbox = outbox
        self._connect = connect
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._idle = idle
        self._chance = chance
        self._wakeup = Wakeup()
        self._suspects = Suspects(settings.max_retries)
        self._compressing = settings.enable_compression
        self._transport: Transport | None = None
        self._abandoned = False
        # Monotonic seconds before which nothing is sent. A flush does not shorten a firm hold.
        self._hold = 0.0
        self._hold_is_firm = False
        # The kinds of trouble that people were told of since it began.
        self._said: set[str] = set()
        # Monotonic seconds at which the process stops waiting, once it goes down.
        self._exit_at: float | None = None

    @property
    def busy(self) -> bool:
        """It has a batch to send, so that another small one would only wait behind it."""
        return self._outbox.next() is not None

    @property
    def compressing(self) -> bool:
        """The settings want compressed bodies, and the server has not refused one for that."""
        return self._compressing

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

    def exit(self, deadline: float) -> None:
        """The process goes down: no waits, one attempt for each batch, until the deadline (monotonic seconds)."""
        self._suspects.exit()
        self._exit_at = deadline
        self._wakeup.set()

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
        next_look = None
        if self._exit_at is None:
            next_look = self._outbox.look()
            if now < self._hold:
                return self._hold - now
        if self._exit_at is None or now < self._exit_at:
            batch = self._suspects.choose(self._outbox.next(), now)
            if batch is not None:
                with own_work():
                    self._attempt(batch, now)
                return 0.0
        if refused := self._suspects.give_up_refused():
            for batch, reason in refused:
                self._bury(batch, reason)
            return 0.0
        if self._exit_at is not None:
            return None
        return min((each for each in (self._suspects.due_in(now), next_look) if each is not None), default=None)

    # Post

    def _attempt(self, chosen: Batch, now: float) -> None:
        # What is in the batch of another process is known only now that its file is read.
        batch = self._outbox.begin(chosen)
        if batch is None or batch.body is None:
            self._suspects.forget(chosen)
            return
        self._ledger.request()
        if self._transport is None:
            self._transport = self._connect()
        seconds = self._settings.timeout if self._exit_at is None else min(self._settings.timeout, self._exit_at - now)
        answer = self._transport.post(batch.id, batch.body, batch.compressed, seconds)
        current_pid()
        if self._abandoned:
            return
        self._settle(batch, answer)
        # After it is settled: until then it could be dropped for room although it was delivered.
        self._outbox.end(batch)
        # The ledger notifies of what it counts; a batch that another process settled meanwhile is not counted here.
        self._ledger.settled.notify()
        if not self.busy:
            self._idle.set()

    # Settle

    def _settle(self, batch: Batch, answer: Answer) -> None:
        now = self._clock.monotonic()
        verdict = classify(answer, compressed=batch.compressed)
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
        if self._suspects.passes_over(batch):
            self._outbox.set_aside(batch)
        if verdict is Verdict.DELIVERED:
            self._deliver(batch, answer)
        elif verdict is Verdict.UNSUPPORTED_ENCODING:
            self._send_plain(batch)
        self._tell(verdict, answer, misconfigured=ruling.misconfigured)
        for each, reason in ruling.bury:
            self._bury(each, reason)
        for each in ruling.split:
            self._split(each, blamed=verdict is not Verdict.REFUSED)

    def _deliver(self, batch: Batch, answer: Answer) -> None:
        if self._outbox.remove(batch):
            self._ledger.deliver(batch.count, batch.encoded_bytes, batch.size, adopted=batch.adopted)
        # The troubles of the server are over. A wrong count and a full disk are others.
        self._said &= {"count", "room"}
        if answer.count not in (None, batch.entries):
            self._say(
                "count",
                f"{self._server} answered that it took {answer.count} entries of a batch of {batch.entries}; "
                "the batch counts as delivered, check the server",
            )

    def _send_plain(self, batch: Batch) -> None:
        self._compressing = False
        loaded = self._outbox.load(batch)
        if loaded is not None:
            self._replace(batch, [loaded.uncompressed(self._wire)])

    def _split(self, batch: Batch, *, blamed: bool) -> None:
        loaded = self._outbox.load(batch)
        if loaded is not None:
            self._replace(batch, loaded.halves(self._wire), blamed=blamed)

    def _replace(self, batch: Batch, successors: Sequence[Batch], *, blamed: bool = False) -> None:
        replaced = self._outbox.replace(batch, successors)
        if replaced is Replaced.DONE:
            self._said.discard("room")
            self._suspects.replaced(batch, successors, blamed=blamed)
            for each in successors:
                if self._suspects.passes_over(each):
                    self._outbox.set_aside(each)
        elif replaced is Replaced.GONE:
            self._suspects.forget(batch)
        else:
            self._suspects.not_replaced(batch, now=self._clock.monotonic(), chance=self._chance())
            self._outbox.set_aside(batch)
            self._say(
                "room",
                f"{self._server} does not take a batch as it is, and there is no room to write it anew; "
                "it is kept whole and tried again later, and the others go on",
            )

    def _bury(self, batch: Batch, reason: str) -> None:
        loaded = self._outbox.begin(batch)
        if loaded is None:  # It is not there any more, or was found damaged and counted as dropped.
            self._suspects.forget(batch)
            return
        if self._outbox.bury(loaded):
            # A notice of losses is no record, and nobody misses it.
            self._ledger.bury(loaded.count, adopted=loaded.adopted)
            if loaded.count:
                name = self._wire.describe(loaded.runs(self._wire)[0].encoded)
                refused = f"a record was given up, because {self._server} refused it ({reason}): {name}"
                self._reporter.say("refused", refused)
        self._outbox.end(batch)
        self._ledger.settled.notify()

    # Tell people

    def _tell(self, verdict: Verdict, answer: Answer, *, misconfigured: bool) -> None:
        if misconfigured:
            self._say(
                "configuration",
                f"{self._server} is not taking logs, and waiting will not help ({answer.detail}): {advice(answer)}; "
                f"the logs are kept as long as there is room, and tried every {CONFIGURATION_RETRY:.0f} s",
            )
        elif verdict is Verdict.RETRY:
            follows = "they are kept and sent as soon as it does"
            if self._exit_at is not None:
                follows = "the process ends and cannot wait"
            self._say("away", f"{self._server} takes no logs now ({answer.detail}); {follows}")
        elif verdict is Verdict.SERVER_ERROR:
            self._say("failing", f"{self._server} fails on logs ({answer.detail}); they are kept and sent again")

    def _say(self, kind: str, message: str) -> None:
        """Tell people, unless they were told of this kind of trouble and it is not over."""
        if kind not in self._said:
            self._said.add(kind)
            self._reporter.say(kind, message)

    @property
    def _server(self) -> str:
        return self._settings.mask(self._settings.server_url)
