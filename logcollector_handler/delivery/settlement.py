"""What is done once a request has ended: its batch is counted and removed, or written anew, and people are told.

`suspects` decides, by a `Ruling`. From here the outbox, the ledger and `trouble` hear of it. The sender's thread alone
calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logcollector_handler.settings import Settings
from logcollector_handler.wire.format import Format

from .answers import Answer, Verdict
from .batch import Batch
from .cases import Ruling
from .clock import Clock
from .ledger import Ledger
from .outbox import Outbox, Replaced
from .pace import Pace
from .report import Reporter
from .suspects import Suspects
from .trouble import Trouble


class Settlement:
    """Does what an answer says, and what `suspects` made of it."""

    def __init__(
        self,
        *,
        settings: Settings,
        wire: Format,
        outbox: Outbox,
        ledger: Ledger,
        suspects: Suspects,
        pace: Pace,
        reporter: Reporter,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._wire = wire
        self._outbox = outbox
        self._ledger = ledger
        self._suspects = suspects
        self._pace = pace
        self._trouble = Trouble(settings.mask(settings.server_url), reporter)
        self._clock = clock
        self._chance = chance
        #: The settings want compressed bodies, and the server has not refused one for that.
        self.compressing: bool = settings.enable_compression

    def follow(self, batch: Batch, answer: Answer, verdict: Verdict, ruling: Ruling, *, exiting: bool) -> None:
        """Settle a batch by its answer, and others that the answer tells something of.

        Args:
            verdict: what the answer means.
            ruling: what follows from it.
            exiting: the process ends.
        """
        if verdict is Verdict.DELIVERED:
            self._deliver(batch, answer)
        elif verdict is Verdict.UNSUPPORTED_ENCODING:
            self._send_plain(batch)
        if ruling.misconfigured:
            self._trouble.configuration(answer, exiting=exiting)
        elif verdict is Verdict.RETRY:
            self._trouble.away(answer, exiting=exiting)
        elif verdict is Verdict.SERVER_ERROR:
            self._trouble.failing(answer, exiting=exiting)
        elif verdict is Verdict.UNFINISHED:
            self._trouble.slow(batch.size, self._settings.timeout)
        for each, reason in ruling.bury:
            self.bury(each, reason)
        for each in ruling.split:
            self.split(
                each,
                blamed=verdict not in (Verdict.REFUSED, Verdict.UNFINISHED),
                slow=verdict is Verdict.UNFINISHED,
            )

    def _deliver(self, batch: Batch, answer: Answer) -> None:
        # A notice of losses is no record, and if the server rejected all entries it is among them.
        rejected = max(0, min(answer.rejected, batch.count))
        if self._outbox.bury(batch, partly=True) if rejected else self._outbox.remove(batch):
            self._ledger.deliver(batch.count - rejected, batch.encoded_bytes, batch.size, adopted=batch.adopted)
            if rejected:
                self._ledger.bury(rejected, adopted=batch.adopted)
        self._pace.went_well()
        self._trouble.is_over()
        if rejected:
            self._trouble.rejected(answer, rejected, batch.entries)
        elif answer.why:
            self._trouble.warned(answer)
        if answer.count not in (None, batch.entries):
            self._trouble.count(answer, batch.entries)

    def _send_plain(self, batch: Batch) -> None:
        self.compressing = False
        loaded = self._outbox.load(batch)
        if loaded is not None:
            self._replace(batch, [loaded.uncompressed(self._wire)])

    def split(self, batch: Batch, *, blamed: bool, slow: bool = False) -> bool:
        """Put the halves of a batch in its place. False: it stays, because its body is gone or they find no room.

        `blamed`: the server fails on it. `slow`: it did not fit the time, so that batches must be smaller for a while.
        """
        loaded = self._outbox.load(batch)
        if loaded is None:
            return False
        halves = loaded.halves(self._wire)
        if slow:
            self._pace.slow_down(max(each.encoded_bytes for each in halves))
        return self._replace(batch, halves, blamed=blamed)

    def _replace(self, batch: Batch, successors: Sequence[Batch], *, blamed: bool = False) -> bool:
        replaced = self._outbox.replace(batch, successors)
        if replaced is Replaced.DONE:
            self._trouble.has_room()
            self._suspects.replaced(batch, successors, blamed=blamed)
            for each in successors:
                if self._suspects.passes_over(each):
                    self._outbox.set_aside(each)
        elif replaced is Replaced.GONE:
            self._suspects.forget(batch)
        else:
            self._suspects.not_replaced(batch, now=self._clock.monotonic(), chance=self._chance())
            self._outbox.set_aside(batch)
            self._trouble.no_room()
        return replaced is not Replaced.NO_ROOM

    def bury(self, batch: Batch, reason: str) -> None:
        """Make a dead letter of a lone record that the server does not take. `reason`: why, in its words or ours."""
        loaded = self._outbox.begin(batch)
        if loaded is None:  # It cannot be buried now, if it is there at all: then the server refuses it once more.
            self._suspects.forget(batch)
            return
        if self._outbox.bury(loaded):
            # A notice of losses is no record, and nobody misses it.
            self._ledger.bury(loaded.count, adopted=loaded.adopted)
            if loaded.count:
                name = self._wire.describe(bytes(loaded.runs(self._wire)[0].encoded))
                self._trouble.refused(reason, name)
        self._outbox.end(batch)
        self._ledger.settled.notify()
