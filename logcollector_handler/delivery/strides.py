"""The listener's work in strides: between two of them the threads of the application run.

Whoever waits for the interpreter's lock gets it only after 5 ms from a thread that goes on running, and at once from
one that rests. Records with exceptions take long to encode; without rests, each of the logging calls that come
meanwhile would wait those 5 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

_Item = TypeVar("_Item")

#: Seconds of work in a stride, as far as whole items allow.
_STRIDE: Final = 0.001
#: Items in a part at most.
_MOST: Final = 100
#: Seconds of rest. It is longer than another thread takes to wake up and take the lock.
_REST: Final = 0.000_05


class Strides:
    """Divides the work of one thread, and lets the thread rest after each stride.

    Args:
        may_rest: whether there is time for a rest. Where many threads wait for the lock, a rest can become a long one.
    """

    def __init__(self, may_rest: Callable[[], bool]) -> None:
        self._may_rest = may_rest
        # How many items make a part, so that it takes no longer than a stride.
        self._count = _MOST

    def parts(self, items: list[_Item]) -> Iterator[list[_Item]]:
        """Take the items out of the list, in parts. Before the next part, the thread rests if it worked for a stride.

        They are taken out, so that the memory of large ones is free for others as soon as their part is done.
        """
        worked = 0.0
        # Taking from the end of a list moves nothing.
        items.reverse()
        while items:
            part = items[: -self._count - 1 : -1]
            del items[-self._count :]
            # The time that the thread runs. That of a clock would go on while it waits for its turn.
            began = time.thread_time()
            yield part
            took = time.thread_time() - began
            self._count = max(1, min(_MOST, int(len(part) * _STRIDE / max(took, 1e-6))))
            worked += took
            if worked >= _STRIDE and self._may_rest():
                worked = 0.0
                time.sleep(_REST)
