"""The evidence: what is remembered of every batch that failed, and what follows from it.

Before each request the sender asks which batch is next. After it the sender says how it ended, and gets a `Ruling`:
how long to rest, and which batches to split or to bury. No clock, no network and no outbox is in here: time and chance
are arguments, and batches are never changed.

An answer of 500 does not say whether the batch is at fault or the server. A batch is only blamed while the server is
seen to work, in one of two ways:

- the requests right before and right after the batch's last failure succeeded;
- where little is logged, the batch itself is tried several times between two others, so that this never happens. Then
  it is enough that three times in a row, between two successes, only batches failed that were set aside before.

An outage gives neither, however it begins and ends: it fails other batches as well. To get the evidence, a batch that
failed once more than `max_retries` is set aside, so that others go, and is tried again between them.

While the process ends, all of this goes on with short waits, and a batch that failed once is set aside at once, so that
the others get their turn before the time is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .answers import CONFIGURATION_RETRY, Verdict, backoff
from .batch import Batch
from .cases import Case, Ruling

#: This many lone records refused, and nothing accepted in between: the configuration is wrong, and not the records.
REFUSALS_IN_A_ROW: Final = 20
#: So many consecutive pairs of successes are the evidence of the second kind.
_SIGNS_ENOUGH: Final = 3
#: How many batches that are not set aside are remembered. Few fail at a time; others were dropped by the outbox.
_REMEMBERED: Final = 1000


class Suspects:
    """Remembers how requests ended, and tells whose fault it was. One thread calls it, all but `hasten`."""

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        #: Monotonic seconds until which the process may take to end. After that it lives on, or asks no more.
        self.end: float = -math.inf
        #: The end has just begun, and nothing was chosen since: it interrupts the waits of all that are set aside, and
        #: wrong settings have one attempt more.
        self.is_hastened: bool = False
        # The last request said that the settings are wrong.
        self._is_hopeless = False
        # Requests are numbered, so that "since" and "between" are comparisons.
        self._request = 0
        self._last_success = 0
        # How many requests failed since then.
        self._streak = 0
        # One of these was for a batch that was not set aside, or says nothing of batches: the server may be at fault.
        self._server_may_be_at_fault = False
        # A batch is in one of three places: in the order of the outbox; set aside, in the order in which that was done;
        # or refused, as a lone record that waits for the proof that the server takes others.
        self._in_order: dict[str, Case] = {}
        self._aside: dict[str, Case] = {}
        self._refused: dict[str, Case] = {}
        # Lone records that were refused since something was accepted.
        self._refusals = 0
        # They were too many. Until a batch is accepted, a refusal says nothing of the batch.
        self._refusals_say_nothing = False

    def hasten(self, end: float) -> None:
        """The process ends: end all waits, and until then (monotonic seconds) try again after short ones."""
        self.is_hastened = True
        self.end_at(end)

    def end_at(self, end: float) -> None:
        """The end of the process has time until then."""
        self.end = end

    def is_hopeless(self, now: float) -> bool:
        """Whether the process ends, and the settings are wrong, which cannot pass before."""
        return self._is_hopeless and now < self.end

    def passes_over(self, batch: Batch) -> bool:
        """Whether the batch is set aside or refused, so that the outbox must not offer it as the next."""
        return batch.id in self._aside or batch.id in self._refused

    def may_split(self, batch: Batch) -> bool:
        """Whether the batch has parts, and the server cannot have stored it, which would store the parts again."""
        return batch.entries > 1 and not self._case_of(batch).answer_lost

    def forget(self, batch: Batch) -> None:
        """The batch is settled, or not in the outbox any more."""
        for place in (self._in_order, self._aside, self._refused):
            place.pop(batch.id, None)

    # Before a request

    def choose(self, ahead: Batch | None, now: float) -> Batch | None:
        """The batch to send: `ahead`, which is the next in the outbox's order, or one that was set aside and is due."""
        if self.is_hastened:
            # In this order: others that ask whether it is hopeless look at the second first.
            self._is_hopeless = False
            self.is_hastened = False
            for case in self._aside.values():
                case.not_before = now
        if self.is_hopeless(now):
            return None
        due = [case for case in self._aside.values() if case.not_before <= now or self._on_probation(case)]
        if due and ahead is None:
            return due[0].batch
        # Retry one set-aside batch between two others: a failure between two successes is the evidence.
        if self._last_success == self._request:
            if now < self.end:
                # Those that found the server away have no part in that. At the end they wait for all of the others.
                due = [case for case in due if case.failures or case.of_suspect]
            if due:
                return due[0].batch
        return ahead

    def due_in(self, now: float) -> float | None:
        """Seconds until `choose` may have another answer than now, if time alone can change it."""
        if self.is_hopeless(now):
            return None
        return min((max(0.0, case.not_before - now) for case in self._aside.values()), default=None)

    def _on_probation(self, case: Case) -> bool:
        """It failed as often as it may, in an outage perhaps, and the server works now: try it before it is due."""
        return self._is_exhausted(case) and not case.witnessed and case.failed_at < self._last_success

    def give_up_refused(self) -> list[tuple[Batch, str]]:
        """Nothing else is left to send, and the refused records were too few to doubt the settings: bury them."""
        refused = [(case.batch, case.refusal) for case in self._refused.values()]
        self._refused.clear()
        return refused

    # After a request

    def ended(
        self,
        batch: Batch,
        verdict: Verdict,
        *,
        now: float,
        chance: float,
        detail: str = "",
        lost: bool = False,
        asked: float = 0.0,
    ) -> Ruling:
        """A request ended.

        Args:
            batch: what was posted.
            verdict: what the answer said.
            now: monotonic seconds.
            chance: a random number from 0 to 1, for the jitter of waits.
            detail: what the server said, for people.
            lost: the server may have stored the batch without our being told.
            asked: seconds that the server asked to wait.
        """
        self._request += 1
        if verdict is Verdict.DELIVERED:
            return self._delivered(batch)
        if verdict is Verdict.UNSUPPORTED_ENCODING:
            return Ruling()
        case = self._case_of(batch)
        case.answer_lost |= lost
        if verdict is Verdict.UNFINISHED:
            self._server_may_be_at_fault = True
            if self.may_split(batch):
                return Ruling(split=(batch,))
            self._postpone(case, now, chance)
            return Ruling()
        if verdict is Verdict.REFUSED and not self._refusals_say_nothing:
            if batch.entries > 1:
                return Ruling(split=(batch,))
            return self._lone_refusal(case, detail, now)
        self._streak += 1
        ending = now < self.end
        if verdict is Verdict.SERVER_ERROR:
            ruling = self._server_failed(case, now, chance, ending=ending)
        elif verdict is Verdict.RETRY:
            self._server_may_be_at_fault = True
            # A server in trouble that says "at once" each time would be asked without a pause.
            firm = asked >= 1 and not (ending and now + asked >= self.end)
            ruling = Ruling(rest=asked if firm else backoff(self._streak, chance, ending=ending), firm=firm)
            if ending:
                self._set_aside(case, now + ruling.rest)
        else:
            ruling = self._misconfigured()
            if verdict is Verdict.REFUSED:
                # Another one goes next: all that were tried may be at fault, and the settings right.
                self._set_aside(case, now + CONFIGURATION_RETRY)
        return ruling

    def _delivered(self, batch: Batch) -> Ruling:
        for case in self._aside.values():
            if case.failed_at > self._last_success:
                case.signs = 0 if self._server_may_be_at_fault else case.signs + 1
        self._server_may_be_at_fault = False
        self._last_success = self._request
        self._streak = 0
        self._refusals = 0
        # What was set aside for that is due by now, or is tried before it is, because the server works.
        self._refusals_say_nothing = False
        self._is_hopeless = False
        self.forget(batch)
        # A server that takes this one was right to refuse those, and works while it fails on the suspects.
        bury = self.give_up_refused()
        suspects = [case.batch for case in self._aside.values() if self._is_suspect_after_success(case)]
        for suspect in suspects:
            if suspect.entries == 1:
                self.forget(suspect)
                bury.append((suspect, "the server fails on it, and only on it"))
        return Ruling(split=[each for each in suspects if each.entries > 1], bury=bury)

    def _is_suspect_after_success(self, case: Case) -> bool:
        between_successes = case.witnessed and case.failed_at == self._request - 1
        if not self._is_exhausted(case) or not (between_successes or case.signs >= _SIGNS_ENOUGH):
            return False
        return case.batch.entries == 1 or not case.answer_lost

    def _is_exhausted(self, case: Case) -> bool:
        return case.failures > self._max_retries

    def _lone_refusal(self, case: Case, detail: str, now: float) -> Ruling:
        self.forget(case.batch)
        self._refused[case.batch.id] = case
        case.refusal = detail
        self._refusals += 1
        if self._refusals < REFUSALS_IN_A_ROW:
            return Ruling()
        self._refusals_say_nothing = True
        for each in list(self._refused.values()):
            self._set_aside(each, now + CONFIGURATION_RETRY)
        self._streak += 1
        return self._misconfigured()

    def _misconfigured(self) -> Ruling:
        self._server_may_be_at_fault = True
        self._is_hopeless = True
        return Ruling(rest=CONFIGURATION_RETRY, firm=True, misconfigured=True)

    def _server_failed(self, case: Case, now: float, chance: float, *, ending: bool) -> Ruling:
        others_go = self._request - 1 == self._last_success > 0
        case.failures += 1
        case.witnessed = others_go
        case.failed_at = self._request
        was_aside = case.batch.id in self._aside
        self._server_may_be_at_fault |= not was_aside
        # The next batch goes at once where that can tell whether this batch is at fault or the server.
        rests = not others_go if was_aside else not self._is_exhausted(case)
        if was_aside or ending or self._is_exhausted(case):
            self._set_aside(case, now + backoff(case.failures, chance, ending=ending))
        # Half of a batch that was at fault, and the other half went: the fault is in this half.
        blamed = case.of_suspect and others_go and case.batch.entries > 1 and not case.answer_lost
        rest = backoff(self._streak, chance, ending=ending) if rests else 0.0
        return Ruling(rest, split=(case.batch,) if blamed else ())

    def replaced(self, batch: Batch, successors: Sequence[Batch], *, blamed: bool = False) -> None:
        """The outbox has these in the place of the batch. `blamed`: it was split because the server fails on it."""
        parent = self._case_of(batch)
        place = self._aside if batch.id in self._aside else self._in_order
        cases = list(place.values())
        at = cases.index(parent)
        # A half that fails once more is split again. A lone record, and a plain copy, get all of their attempts.
        inherited = [parent.failures if 1 < each.entries < batch.entries else 0 for each in successors]
        cases[at : at + 1] = [
            Case(each, failures=count, of_suspect=blamed) for each, count in zip(successors, inherited, strict=True)
        ]
        place.clear()
        place.update((case.batch.id, case) for case in cases)

    def not_replaced(self, batch: Batch, *, now: float, chance: float) -> None:
        """There was no room for its successors: it is set aside, and tried again after a backoff."""
        self._postpone(self._case_of(batch), now, chance)

    def _postpone(self, case: Case, now: float, chance: float) -> None:
        case.postponed += 1
        # Neither blamed again nor put on probation by the next success of another, but only after a failure of its own.
        case.signs, case.witnessed = 0, True
        self._set_aside(case, now + backoff(case.postponed, chance, ending=now < self.end))

    def _case_of(self, batch: Batch) -> Case:
        for place in (self._aside, self._refused, self._in_order):
            if batch.id in place:
                return place[batch.id]
        case = self._in_order[batch.id] = Case(batch, answer_lost=batch.answer_lost)
        while len(self._in_order) > _REMEMBERED:
            del self._in_order[next(iter(self._in_order))]
        return case

    def _set_aside(self, case: Case, not_before: float) -> None:
        """Behind those that are set aside already."""
        self.forget(case.batch)
        self._aside[case.batch.id] = case
        case.not_before = not_before
