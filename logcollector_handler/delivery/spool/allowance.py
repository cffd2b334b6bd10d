"""How much a process may still put into the spool that leaves its batches there for others to send.

What it left there is not its own any more: another process removes the files, and it is not told when. So it does not
add up what it wrote, as `room` does, but measures the directory. It measures again when it has used up a part of the
room that there was: so several processes together exceed the limit by little. Dead letters make way, the oldest first.
No batch does, because others may be sending it right now.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

from logcollector_handler.delivery.clock import Clock

from .directory import charge_for
from .files import SpoolFiles
from .usage import DEAD, Usage

#: A process takes this part of the room that it found before it measures again.
_PART: Final = 1 / 8
#: Seconds after which it measures again in any case, and how many times as long as the measuring took that is at least.
_VALID_FOR: Final = 1.0
_SHARE: Final = 20


class Allowance:
    """The room for one more file. The thread that hands batches over calls `admits`.

    Args:
        max_bytes: what the disk may be charged for the whole directory of the destination, dead letters included.
        files: the directory.
        usage: what processes tell each other of it.
    """

    def __init__(self, max_bytes: int, files: SpoolFiles, usage: Usage, clock: Clock) -> None:
        self._max_bytes = max_bytes
        self._files = files
        self._usage = usage
        self._clock = clock
        # Bytes that were free when it was measured last, and how many of them were used since.
        self._free = 0
        self._used = 0
        # Monotonic seconds from which the last measure is too old.
        self._stale_at = -math.inf
        #: The last file that was asked for found no room.
        self.is_used_up: bool = False

    def admits(self, size: int) -> bool:
        """Whether there is room for a file of `size` bytes. If so, it counts as written. Raises OSError."""
        charge = charge_for(size)
        if self._used + charge > self._free * _PART or self._clock.monotonic() >= self._stale_at:
            self._measure()
            if charge > self._free and self._remove_dead_letters(charge - self._free):
                self._measure()
        self.is_used_up = self._used + charge > self._free
        if not self.is_used_up:
            self._used += charge
        return not self.is_used_up

    def _measure(self) -> None:
        began = self._clock.monotonic()
        self._free = self._max_bytes - self._files.charged_for_all()
        self._used = 0
        now = self._clock.monotonic()
        self._stale_at = now + max(_VALID_FOR, _SHARE * (now - began))

    def _remove_dead_letters(self, excess: int) -> int:
        removed = self._files.remove_buried(excess)
        if removed:
            with contextlib.suppress(OSError):
                self._usage.add(DEAD, -removed)
        return removed
