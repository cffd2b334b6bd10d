"""How far delivery has come: what was accepted by now, and whether all of it is settled.

Who waits for delivery waits for what was accepted before, and not for what others log meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from .intake import Intake
from .ledger import Ledger
from .listener import BatchListener
from .outbox import BatchStore


class Progress:
    """Compares marks: a mark is a number of records, counted from the first that the handler accepted."""

    def __init__(self, queue: Intake, listener: BatchListener, outbox: BatchStore, ledger: Ledger) -> None:
        self._queue = queue
        self._listener = listener
        self._outbox = outbox
        self._ledger = ledger
        # What was accepted when the end of the process began.
        self._goal = 0

    @property
    def mark(self) -> int:
        """How many records were accepted so far."""
        # With the lock, because whoever takes records out of the queue and counts them does both under it: in between
        # they are in neither of the two.
        with self._ledger.lock:
            return len(self._queue) + self._ledger.passed

    def is_batched(self, mark: int) -> bool:
        """Whether the records before this mark have left the queue and are in the outbox, or settled."""
        put_to = self._listener.put_to
        # Some may have been turned away since the mark was read. Then fewer are left than it counts.
        return put_to >= mark or put_to >= self.mark

    def is_settled(self, mark: int) -> bool:
        """Whether the records before this mark are delivered, dead-lettered or dropped."""
        return self.is_batched(mark) and not self._outbox.holds_before(mark)

    def wait(self, mark: int, seconds: float, or_else: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the records before this mark are settled, or `or_else` holds.

        Returns:
            Whether they are settled.
        """
        self._ledger.settled.wait(lambda: or_else() or self.is_settled(mark), seconds)
        return self.is_settled(mark)

    # At the end of the process

    def begin_exit(self) -> None:
        """The end begins: what was accepted so far is to be settled."""
        self._goal = self.mark

    @property
    def is_done(self) -> bool:
        """Whether what was accepted when the end began is settled."""
        return self.is_settled(self._goal)

    @property
    def has_more(self) -> bool:
        """Whether others have logged since the end began."""
        return self.mark > self._goal
