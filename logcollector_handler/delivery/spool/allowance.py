"""How much a process may still put into the spool that leaves its batches there for others to send.

What it left there is not its own any more: another process removes the files, and it is not told when. So it does not
add up what it wrote, as `room` does, but measures the directory. It measures again when it has used up a part of the
room that there was: so several processes together exceed the limit by little. Dead letters make way, the oldest first.
No batch does, because others may be sending it right now.

An open file grows after it was let in, so this process's are not measured. What it takes counts when it is handed over.
Until then each counts as much as the last one took that was handed over, or as the largest does that is still here. A
batch that is written anew needs no room beside them: it comes before them, and must not wait for them.

Two threads may be here at once: one that writes the journal, with its lock held, and one that hands over. They share no
lock, because a signal handler that interrupts one of them may log, and would wait for the other. What they miscount by
that is one file, until the next measure.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

from logcollector_handler.delivery.clock import Clock

from .bodies import Bodies
from .directory import BLOCK, charge_for
from .files import SpoolFiles, open_name
from .usage import DEAD, Usage

#: A process takes this part of the room that it found before it measures again.
_PART: Final = 1 / 8
#: Seconds after which it measures again in any case, and how many times as long as the measuring took that is at least.
_VALID_FOR: Final = 1.0
_SHARE: Final = 20


class Allowance:
    """The room for more files. The thread that hands batches over calls `admits` and `count_open`.

    Args:
        max_bytes: what the disk may be charged for the whole directory of the destination, dead letters included.
        files: the directory.
        bodies: knows which open files are this process's.
        usage: what processes tell each other of it.
    """

    def __init__(self, max_bytes: int, files: SpoolFiles, bodies: Bodies, usage: Usage, clock: Clock) -> None:
        self._max_bytes = max_bytes
        self._files = files
        self._bodies = bodies
        self._usage = usage
        self._clock = clock
        # Bytes that were free when it was measured last, and how many of them were used since. A process that has
        # measured nothing yet takes the room for granted: its first logging call must not wait for that.
        self._free = max_bytes
        self._used = 0
        # Monotonic seconds from which the last measure is too old.
        self._stale_at = -math.inf
        # What the last open file was charged that was handed over, or a larger one that is still here.
        self._open_charge = BLOCK

    def admits(self, size: int) -> bool:
        """Whether there is room for a file of `size` bytes. If so, it counts as written. Raises OSError."""
        charge = charge_for(size)
        if self._used + charge > self._free * _PART or self._is_stale():
            self._measure_for(charge)
        if charge > self._free - self._used:
            return False
        self._used += charge
        return True

    def admits_open(self) -> bool:
        """Whether there is room for one more open file. Raises OSError.

        It is asked in logging calls. So it measures only where it would refuse by an old measure: others may have sent
        everything since.
        """
        # The last one that was handed over may be long ago, or there was none yet.
        self._open_charge = max(self._open_charge, self._bodies.heaviest_open())
        if self._needed_for_open() > self._free - self._used and self._is_stale():
            self._measure_for(self._needed_for_open())
        return self._needed_for_open() <= self._free - self._used

    def count_open(self, charge: int) -> None:
        """An open file that was charged so much was handed over. Raises OSError; it is counted all the same."""
        self._open_charge = max(BLOCK, charge)
        self._used += charge
        if self._used > self._free * _PART or self._is_stale():
            # Now, so that the next logging call that asks need not.
            self._measure_for(self._needed_for_open())

    def _needed_for_open(self) -> int:
        """What this process's open files and one more will take."""
        # Half of the limit each at most: so an empty spool always has room for one, however large the last was.
        return (len(self._bodies.opened) + 1) * min(self._open_charge, self._max_bytes // 2)

    def _is_stale(self) -> bool:
        return self._clock.monotonic() >= self._stale_at

    def _measure_for(self, charge: int) -> None:
        """Measure, and remove dead letters if there is not so much room."""
        self._measure()
        if charge > self._free and self._remove_dead_letters(charge - self._free):
            self._measure()

    def _measure(self) -> None:
        began = self._clock.monotonic()
        own = {open_name(batch_id) for batch_id in list(self._bodies.opened)}
        self._free = self._max_bytes - self._files.charged_for_all(apart_from=own)
        self._used = 0
        now = self._clock.monotonic()
        self._stale_at = now + max(_VALID_FOR, _SHARE * (now - began))

    def _remove_dead_letters(self, excess: int) -> int:
        removed = self._files.remove_buried(excess)
        if removed:
            with contextlib.suppress(OSError):
                self._usage.add(DEAD, -removed)
        return removed
