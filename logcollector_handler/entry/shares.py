"""Fair shares: how the bytes that a record may have are divided among its fields.

Every part gets what it needs, up to one and the same share, so small parts stay whole and large ones are cut to equal
sizes. When there are so many parts that a share would be too little for anything, the smallest ones are kept whole, as
many as fit, and the others are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

#: Bytes below which a part is not cut: a cut name, a cut value and their marks need as much.
LEAST: Final = 128
#: The items of a list get shares, as fields do, if these are at least so many bytes. Of longer lists the first items
#: are kept.
ITEM_SHARE: Final = 1024

#: A guess looks at so many values of a container, and at those in them, down to so many levels. Where a container is
#: one of many, its number of values must do.
_GUESSED: Final = 6
_GUESSED_DEPTH: Final = 3
_FEW: Final = 64
#: Bytes that a value of unknown size is guessed to take, and that one in a container takes at least.
_UNKNOWN: Final = 64
_LITTLE: Final = 3


def level(sizes: Iterable[int], room: int) -> int:
    """The size to which larger parts must be cut so that all of them fit into the room."""
    left = max(room, 0)
    remaining = sorted(sizes)
    for number, size in enumerate(remaining):
        share = left // (len(remaining) - number)
        if size > share:
            return share
        left -= size
    return max(remaining, default=0)


def grants(sizes: Sequence[int], room: int, first: int) -> list[int]:
    """The bytes that each of these parts gets; 0 for those that are left out.

    The `first` ones are never left out, and may take half of the room at least if they need it.
    """
    share = level(sizes, room)
    if share >= LEAST or first == len(sizes):
        return [min(size, share) for size in sizes]
    share = max(share, level(sizes[:first], room // 2))
    granted = [min(size, share) for size in sizes[:first]] + [0] * (len(sizes) - first)
    left = room - sum(granted)
    for index in sorted(range(first, len(sizes)), key=sizes.__getitem__):
        size = min(sizes[index], LEAST)
        if size > left:
            break
        granted[index] = size
        left -= size
    return granted


class Shares:
    """Divides room among parts whose sizes are known only roughly before they have been made.

    Make the parts in the order of `order`: for each call `offer`, then `use` with the bytes that it took.
    """

    def __init__(self, sizes: Sequence[int], room: int, first: Sequence[int] = ()) -> None:
        """Divide `room` bytes among parts of at least these sizes. `first` are the indexes of those never left out."""
        self._sizes = sizes
        self._left = room
        self._remaining = len(sizes)
        #: Indexes of the parts: first those that are never left out, then the smallest.
        self.order: list[int] = [
            *first,
            *sorted(set(range(len(sizes))).difference(first), key=lambda each: (sizes[each], each)),
        ]
        self._first = frozenset(first)

    def offer(self, index: int) -> int:
        """The most that this part may take; 0 if it has to be left out."""
        share = max(self._left // self._remaining, LEAST)
        self._remaining -= 1
        if index in self._first:
            return share
        share = min(share, self._left)
        return share if share >= min(self._sizes[index], LEAST) else 0

    def use(self, size: int) -> None:
        """A part has taken so many bytes."""
        self._left -= size


def guessed_size(value: Any, among: int) -> int:
    """Guesses the bytes that the JSON of one of `among` values takes. Runs no code of the application."""
    return _guess(value, _GUESSED_DEPTH if among <= _FEW else 0)


def _guess(value: Any, depth: int) -> int:
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        return len(value) + 2
    if kind is dict:
        inner = list(islice(value.values(), _GUESSED if depth else 0))
    elif kind is list or kind is tuple or kind is set or kind is frozenset or kind is deque:
        inner = list(islice(value, _GUESSED if depth else 0))
    else:
        return _LITTLE if kind in _NUMBERS else _UNKNOWN
    if not inner:
        return 2 + _LITTLE * len(value)
    return 2 + len(value) * (_LITTLE + sum([_guess(each, depth - 1) for each in inner])) // len(inner)


_NUMBERS: Final = frozenset({int, float, bool, type(None)})
