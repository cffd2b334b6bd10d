"""Usage: how many bytes the files of each owner take, told to the other processes that share the directory.

Each process writes the number of every owner whose lock it holds into `usage/<owner>`, and adds up those of others. It
writes its own number before it reads theirs. So of two that want the last room at the same time at least one sees the
other, and together they never exceed the limit. A number is written anew after each change, so a process that is killed
leaves one that is too high by what it was about to write at most. Whoever takes its files over corrects it.

Dead letters have no owner: `usage/dead` holds their bytes. Two processes that change it at the same moment may lose one
change; each look at the directory writes what is true.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from .directory import Directory

#: The number of dead letters stands under this name.
DEAD: Final = "dead"
#: How often the directory is made again, if others remove it at the same moment.
_TRIES: Final = 10


class Usage:
    """The numbers of one destination."""

    def __init__(self, place: Directory) -> None:
        self._place = place

    def write(self, owner: str, size: int) -> None:
        """Tell the others that the files of `owner` take `size` bytes. Raises OSError."""
        descriptor = self._create(owner)
        try:
            # Twice, because somebody may read while it is written.
            os.pwrite(descriptor, f"{size:020d} {size:020d}\n".encode(), 0)
        finally:
            os.close(descriptor)

    def _create(self, owner: str) -> int:
        for _ in range(_TRIES):
            try:
                return self._place.create(owner, 0)
            except FileNotFoundError:
                # Made again at each try: another process whose number was the last removes the empty directory.
                with contextlib.suppress(FileNotFoundError), self._place.open(make=True):
                    pass
        return self._place.create(owner, 0)

    def add(self, owner: str, size: int) -> None:
        """Change a number by `size`. Raises OSError."""
        number = self.read().get(owner, 0) + size
        if number > 0:
            self.write(owner, number)
        else:
            self.forget(owner)

    def read(self) -> dict[str, int]:
        """All numbers by owner; none if there are none yet. Raises OSError."""
        numbers = {}
        with contextlib.suppress(FileNotFoundError):
            for name, text in self._place.contents(100):
                with contextlib.suppress(ValueError):
                    numbers[name] = min(map(int, text.split()), default=0)
        return numbers

    def forget(self, owner: str) -> None:
        """Remove the number of an owner that has no files any more."""
        with contextlib.suppress(OSError):
            self._place.remove(owner)
        self._place.remove_if_empty()
