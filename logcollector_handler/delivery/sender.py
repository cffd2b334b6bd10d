"""The sender: takes batches from the outbox, posts them one at a time, and settles each by its answer.

`step` does at most one request and says how long to wait for the next, so the whole behaviour is driven in
tests without a thread and without time passing. What an answer means is the delivery contract's table:

- accepted: the batch is delivered;
- the server is away or asks for patience: nothing goes until the backoff is over;
- the batch is refused (400, 413, 422): it is split until the record at fault stands alone;
- the server failed (500 and the like): tried again, then set aside while others go on. It is only taken for the
  batch's fault when the server is seen to work: the requests right before and right after the batch's last
  failure succeeded, or, where little is logged, several times in a row none but batches that were set aside failed
  between two successes. An outage does not give that evidence, however it begins and ends;
- anything else is a configuration error: said once, and everything is kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from logcollector_handler.settings import Settings

from .answer import Answer, Transport
from .batch import Batch
from .clock import Clock, Waiters, Wakeup
from .ledger import Ledger
from .outbox import Outbox
from .process import own_work
from .report import Reporter
from .retry import CONFIGURATION_RETRY, REFUSALS_IN_A_ROW, Verdict, backoff, classify, retry_after

#: What to look at, by the status of a configuration error.
_ADVICE = {
    401: "check api_key",
    403: "check api_key",
    404: "check server_url",
    405: "check server_url",
    407: "check proxy",
}
#: So often in a row only batches that were set aside failed between two successes: the fault is theirs.
_SIGNS_ENOUGH = 3


class Sender:
    """Posts the outbox's batches, in order but for those that are set aside."""

    def __init__(
        self,
        *,
        settings: Settings,
        outbox: Outbox,
        connect: Callable[[], Transport],
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        on_idle: Callable[[], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._connect = connect
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._on_idle = on_idle
        self._chance = chance
        self._wakeup = Wakeup()
        #: Those who wait for batches to be settled.
        self.settled = Waiters(clock)
        #: The server takes gzip, as far as we know, and the settings want it.
        self.compressing = settings.enable_compression
        self._transport: Transport | None = None
        self._abandoned = False

        # Nothing is tried before this; a firm hold is not shortened by a flush.
        self._hold = 0.0
        self._hold_is_firm = False
        # Requests are numbered, so that "since" and "between" are comparisons.
        self._request = 0
        self._last_success = 0
        # Requests that failed since then.
        self._streak = 0
        # Among them one of a batch that was not set aside, or one that says nothing of batches: it may be the server.
        self._all_may_fail = False
        # Batches that were set aside, in the order in which they were.
        self._aside: list[Batch] = []
        # Lone records that were refused, until it is clear that the fault is theirs.
        self._refused: list[Batch] = []
        self._refusals = 0
        self._misconfigured = False
        # What people were told since the last success.
        self._said: set[str] = set()
        # Monotonic seconds; the process is going down, and each batch has one more attempt until then.
        self._exit_at: float | None = None

    @property
    def busy(self) -> bool:
        """It has a batch to send, so that another small one would only wait behind it."""
        return self._outbox.next() is not None

    def wake(self) -> None:
        """There may be something to do."""
        self._wakeup.set()

    def wait(self, seconds: float | None) -> None:
        """Wait for that long, or until woken."""
        self._wakeup.wait(seconds)

    def hurry(self) -> None:
        """Somebody waits for the batches: do not sit out a backoff that the server did not ask for."""
        if not self._hold_is_firm:
            self._hold = 0.0
        self._wakeup.set()

    def exit(self, deadline: float) -> None:
        """The process is going down: no waits, one attempt for each batch, until the deadline (monotonic)."""
        self._exit_at = deadline
        self._wakeup.set()

    def give_up(self, batch: Batch, reason: str) -> None:
        """A batch that left the outbox unsent is dropped."""
        self._ledger.drop(reason, batch.count, adopted=batch.adopted)
        self._ledger.return_losses(batch.losses)
        self.settled.notify()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        """In a forked child: let go of what the parent uses.

        Where threads are greenlets, the parent's come along, and go on in here.
        """
        self._abandoned = True
        if self._transport is not None:
            self._transport.abandon()

    def step(self) -> float | None:
        """Do the next thing that is due, at most one request.

        Returns:
            Seconds until something may be due: 0 for now, None for when woken.
        """
        if self._abandoned:
            return None
        now = self._clock.monotonic()
        next_look = self._outbox.look() if self._exit_at is None else None
        if self._exit_at is None and now < self._hold:
            return self._hold - now
        batch = self._choose(now)
        if batch is None:
            if self._refused:
                # Nothing else is left to try, and they were too few to doubt the configuration.
                self._bury_refused()
                return 0.0
            if self._exit_at is not None:
                return None
            due = [max(0.0, batch.not_before - now) for batch in self._aside]
            return min(due + ([] if next_look is None else [next_look]), default=None)
        with own_work():
            self._attempt(batch, now)
        return 0.0

    # Which batch

    def _choose(self, now: float) -> Batch | None:
        ahead = self._outbox.next()
        if self._exit_at is not None:
            untried = (batch for batch in self._aside if not batch.tried_at_exit)
            return (ahead or next(untried, None)) if now < self._exit_at else None
        ready = [batch for batch in self._aside if batch.not_before <= now or self._on_probation(batch)]
        if self._last_success == self._request:
            # One at a time between two others: only so can the evidence be had, of each and against each.
            for batch in ready:
                if batch.failed_at < self._last_success:
                    return batch
        return ahead or next(iter(ready), None)

    def _on_probation(self, batch: Batch) -> bool:
        """It failed as often as it may, and the server has worked since: one more look at once."""
        return self._exhausted(batch) and not batch.witnessed and batch.failed_at < self._last_success

    def _set_aside(self, batch: Batch, not_before: float) -> None:
        """Behind those that are set aside already."""
        self._forget(batch)
        batch.aside = True
        batch.not_before = not_before
        self._aside.append(batch)

    def _forget(self, batch: Batch) -> None:
        if batch in self._aside:
            self._aside.remove(batch)

    # One request

    def _attempt(self, batch: Batch, now: float) -> None:
        body = self._outbox.begin(batch)
        if body is None:
            self._forget(batch)
            return
        self._request += 1
        self._ledger.request()
        if self._transport is None:
            self._transport = self._connect()
        seconds = self._settings.timeout if self._exit_at is None else min(self._settings.timeout, self._exit_at - now)
        answer = self._transport.post(batch.id, body, batch.compressed, seconds)
        if self._abandoned:
            return
        # Not before: a batch that was answered is not to go for room.
        self._settle(batch, answer)
        self._outbox.end(batch)
        self.settled.notify()
        if not self.busy:
            self._on_idle()

    def _settle(self, batch: Batch, answer: Answer) -> None:
        verdict = self._verdict(answer)
        if verdict is Verdict.DELIVERED:
            self._delivered(batch, answer)
        elif verdict is Verdict.REFUSED and not self._misconfigured:
            self._refused_by_server(batch, answer)
        elif verdict is Verdict.UNSUPPORTED_ENCODING and batch.compressed:
            self._resend_plain(batch)
        else:
            now = self._clock.monotonic()
            if verdict is Verdict.RETRY:
                self._try_later(batch, answer, now)
            elif verdict is Verdict.SERVER_ERROR:
                self._server_failed(batch, answer, now)
            else:
                self._configured_wrongly(batch, verdict, answer, now)
            if self._exit_at is not None:
                batch.tried_at_exit = True
                self._set_aside(batch, now)

    @staticmethod
    def _verdict(answer: Answer) -> Verdict:
        if answer.unusable or answer.foreign:
            return Verdict.CONFIGURATION
        return Verdict.RETRY if answer.status is None else classify(answer.status)

    def _delivered(self, batch: Batch, answer: Answer) -> None:
        for each in self._aside:
            if each.failed_at > self._last_success:
                each.signs = 0 if self._all_may_fail else each.signs + 1
        self._all_may_fail = False
        self._last_success = self._request
        self._streak = 0
        self._hold = 0.0
        # A wrong count is no outage that could be over.
        self._said &= {"count"}
        self._refusals = 0
        self._forget(batch)
        if self._outbox.remove(batch):
            self._ledger.deliver(batch.count, batch.encoded_bytes, batch.size, adopted=batch.adopted)
        if answer.count not in (None, batch.entries):
            self._say(
                "count",
                f"{self._server} answered that it took {answer.count} entries of a batch of {batch.entries}; "
                "the batch counts as delivered, check the server",
            )
        # A server that takes this one was right to refuse those, and works while it fails on that.
        self._bury_refused()
        for suspect in [each for each in self._aside if self._is_suspect(each)]:
            self._blame(suspect)
        # What was set aside meanwhile is due by now, or gets another look because the server works (`_on_probation`).
        self._misconfigured = False

    def _try_later(self, batch: Batch, answer: Answer, now: float) -> None:
        self._streak += 1
        self._all_may_fail = True
        # A gateway's 502 and 504 are answers, but not of the server behind it, which may have got the batch.
        if answer.arrived and answer.status in (None, 502, 504):
            batch.answer_lost = True
        asked = retry_after(answer.retry_after, self._clock.time()) or 0.0
        wait = self._backoff(self._streak)
        # "At once" is not an answer that a server in trouble can mean every time.
        self._rest(now, asked if asked >= 1 else wait, firm=asked >= 1)
        self._say(
            "away",
            f"{self._server} takes no logs now ({answer.detail}); "
            + ("the process ends and cannot wait" if self._exit_at else "they are kept and sent as soon as it does"),
        )

    def _server_failed(self, batch: Batch, answer: Answer, now: float) -> None:
        others_go = self._request - 1 == self._last_success > 0
        self._streak += 1
        batch.failures += 1
        batch.witnessed = others_go
        batch.failed_at = self._request
        newly_aside = not batch.aside and self._exhausted(batch)
        if newly_aside or batch.aside:
            self._set_aside(batch, now + self._backoff(batch.failures))
        else:
            self._all_may_fail = True
        if batch.of_suspect and others_go and batch.entries > 1 and not batch.answer_lost:
            # Half of a batch that was at fault, and the other half went: this is the half.
            self._split(batch, suspect=True)
        # The next batch goes at once where that can tell whether it is this batch or the server.
        if not newly_aside and not (batch.aside and others_go):
            self._rest(now, self._backoff(self._streak), firm=False)
        self._say("failing", f"{self._server} fails on logs ({answer.detail}); they are kept and sent again")

    def _configured_wrongly(self, batch: Batch, verdict: Verdict, answer: Answer, now: float) -> None:
        self._streak += 1
        self._all_may_fail = True
        self._rest(now, CONFIGURATION_RETRY, firm=True)
        if verdict is Verdict.REFUSED:
            # Another one next time: these may all be at fault, and the server right.
            self._set_aside(batch, now + CONFIGURATION_RETRY)
        advice = _ADVICE.get(answer.status or 0, "check the settings")
        if answer.foreign or (answer.status is not None and 300 <= answer.status < 400):
            advice = "check server_url"
        self._say(
            "configuration",
            f"{self._server} is not taking logs, and waiting will not help ({answer.detail}): {advice}; "
            f"the logs are kept as long as there is room, and tried every {CONFIGURATION_RETRY:.0f} s",
        )

    def _resend_plain(self, batch: Batch) -> None:
        self.compressing = False
        body = self._outbox.read(batch)
        if body is None:
            return
        plain = batch.uncompressed(body)
        plain.aside = batch.aside
        if self._outbox.replace(batch, [plain]) and batch.aside:
            self._aside[self._aside.index(batch)] = plain

    # Records at fault

    def _refused_by_server(self, batch: Batch, answer: Answer) -> None:
        if batch.entries > 1:
            self._split(batch, suspect=False)
            return
        self._forget(batch)
        batch.aside = True
        batch.refusal = answer.detail
        self._refused.append(batch)
        self._refusals += 1
        if self._refusals >= REFUSALS_IN_A_ROW:
            self._misconfigured = True
            now = self._clock.monotonic()
            for each in self._refused:
                self._set_aside(each, now + CONFIGURATION_RETRY)
                each.tried_at_exit = self._exit_at is not None
            self._refused = []
            self._configured_wrongly(batch, Verdict.REFUSED, answer, now)

    def _bury_refused(self) -> None:
        refused, self._refused = self._refused, []
        for batch in refused:
            self._bury(batch, batch.refusal)

    def _exhausted(self, batch: Batch) -> bool:
        return batch.failures > self._settings.max_retries

    def _is_suspect(self, batch: Batch) -> bool:
        """It failed as often as it may, the last time right between two requests that succeeded.

        With little traffic it is also tried alone in between, so that this never is; then several signs make up for it.
        """
        between = batch.witnessed and batch.failed_at == self._request - 1
        if not self._exhausted(batch) or not (between or batch.signs >= _SIGNS_ENOUGH):
            return False
        # The server may have stored a batch whose answer was lost; its halves would be stored again.
        return batch.entries == 1 or not batch.answer_lost

    def _blame(self, suspect: Batch) -> None:
        if suspect.entries > 1:
            self._split(suspect, suspect=True)
        else:
            self._forget(suspect)
            self._bury(suspect, "the server fails on it, and only on it")

    def _split(self, batch: Batch, *, suspect: bool) -> None:
        body = self._outbox.read(batch)
        if body is None:
            return
        children = batch.children(body)
        for child in children:
            # The halves of a suspect go among the others, and one failure more is enough to split them again.
            # A record that stands alone gets all of its attempts.
            child.aside = batch.aside
            child.of_suspect = suspect
            child.failures = batch.failures if child.entries > 1 else 0
        if self._outbox.replace(batch, children) and batch.aside:
            place = self._aside.index(batch)
            self._aside[place : place + 1] = children
        else:
            self._forget(batch)

    def _bury(self, batch: Batch, reason: str) -> None:
        body = self._outbox.read(batch)
        if body is None:
            # Its file is gone: in its turn it is found to be damaged, and counted.
            batch.aside = False
            return
        if not self._outbox.bury(batch):
            return
        if batch.count:
            self._ledger.bury(batch.count, adopted=batch.adopted)
            name = _name(batch.lines(body)[0])
            self._reporter.say(
                "refused", f"a record was given up, because {self._server} refused it ({reason}): {name}"
            )
        self.settled.notify()

    # Waiting and telling

    def _rest(self, now: float, seconds: float, *, firm: bool) -> None:
        self._hold = now + seconds
        self._hold_is_firm = firm

    def _backoff(self, failures: int) -> float:
        return backoff(failures, self._chance())

    @property
    def _server(self) -> str:
        return self._settings.mask(self._settings.server_url)

    def _say(self, kind: str, message: str) -> None:
        """Once until the server takes logs again."""
        if kind not in self._said:
            self._said.add(kind)
            self._reporter.say(kind, message)


def _name(line: bytes) -> str:
    """A record, in so many words that a person finds it again."""
    try:
        entry = msgspec.json.decode(line)
        message = " ".join(str(entry["message"]).split())
        if len(message) > 100:
            message = f"{message[:99]}…"
        return f"{entry['level']} at {entry['created_at']:.3f}: {message!r}"
    except Exception:  # noqa: BLE001 - it lay in a file, where anything may be done to it
        return f"{line[:100]!r}"
