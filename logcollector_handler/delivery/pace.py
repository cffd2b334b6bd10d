"""How large batches may be, after a request ran out of time before its body was sent: smaller ones, for a while."""

from __future__ import annotations

from typing import Final

#: After this many requests that went well batches may be twice as large again.
_WELL_ENOUGH: Final = 10


class Pace:
    """The largest size of a batch before compression, in bytes: what the settings allow, less on a slow line.

    Args:
        max_bytes: what the settings allow.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._went_well = 0
        #: The largest size of a batch now.
        self.batch_bytes: int = max_bytes

    @property
    def is_slow(self) -> bool:
        """The line was found to be slow, and is not known to be faster since."""
        return self.batch_bytes < self._max_bytes

    def slow_down(self, size: int) -> None:
        """The time was too short for a batch; its halves have that many bytes at most."""
        self.batch_bytes = min(self.batch_bytes, size)
        self._went_well = 0

    def went_well(self) -> None:
        """A batch was delivered."""
        if self.is_slow:
            self._went_well += 1
            if self._went_well == _WELL_ENOUGH:
                self.batch_bytes = min(self.batch_bytes * 2, self._max_bytes)
                self._went_well = 0
