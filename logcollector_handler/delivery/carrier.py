"""The carrier: whoever settles the batches in the outbox, and what the other parts of a pipeline ask of it.

The `Sender` posts them. With `deliver: false` it is `spool.handover`, which leaves them in the spool for others.
"""

from __future__ import annotations

from typing import Protocol

from .report import Reporter


class Carrier(Protocol):
    """Settles batches. One thread at a time calls `step`; the other methods but `close` may be called from any."""

    #: How long its last request took; 0 before the first.
    request_seconds: float

    @property
    def has_thread(self) -> bool:
        """It waits for the network, in a thread of its own. Otherwise the listener's thread calls `step`."""

    @property
    def busy(self) -> bool:
        """It has a batch to work at, so that another small one would only wait behind it."""

    @property
    def compressing(self) -> bool:
        """Whether new batches are to be compressed."""

    @property
    def batch_bytes(self) -> int:
        """The largest size of a batch before compression."""

    def step(self) -> float | None:
        """Do the next thing that is due. Returns the seconds until something may be due: 0 for now, None for never."""

    def wake(self) -> None:
        """A batch was put into the outbox."""

    def wait(self, seconds: float | None) -> None:
        """Wait for that long (None: for ever), or until woken."""

    def hurry(self) -> None:
        """Somebody waits for the batches: end the present rest, unless it is firm."""

    def hasten(self, end: float) -> None:
        """The process ends: end the present rest, and until then (monotonic seconds) try again after short ones."""

    def exit(self, end: float) -> None:
        """The process ends for sure: from then on (monotonic seconds) do nothing any more."""

    @property
    def is_hopeless(self) -> bool:
        """The process ends, and nothing can be settled before it does."""

    def close(self) -> None:
        """Close what is open. The next step opens it again."""

    def abandon(self) -> None:
        """In a forked child: release what the parent uses, without using it, and never work again."""


def step(carrier: Carrier, reporter: Reporter) -> float | None:
    """`Carrier.step`. An unexpected error in it is reported on stderr, and the next step comes a second later."""
    try:
        return carrier.step()
    except Exception as error:  # noqa: BLE001 - the batch is still in the outbox, and the thread must go on
        reporter.say("internal_error", f"sending failed on an error of its own: {error!r}")
        return 1.0
