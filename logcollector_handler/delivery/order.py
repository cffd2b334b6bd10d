"""The order in which batches wait. Finding the first is as fast with many batches as with few."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Order(Generic[_Item]):
    """Things by the ids of their batches, in the order in which these are to be sent; some are set aside.

    Not an ordinary dict, which takes longer to find its first entry the more were removed before it.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[str, _Item] = OrderedDict()
        # Those that are not set aside.
        self._ready: OrderedDict[str, _Item] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[_Item]:
        """In their order, those that are set aside included. Nothing may be changed meanwhile."""
        return iter(self._all.values())

    def get(self, batch_id: str) -> _Item | None:
        """What has that id, if it is here."""
        return self._all.get(batch_id)

    def first(self) -> _Item | None:
        """The first of all."""
        return next(iter(self._all.values()), None)

    def first_ready(self) -> _Item | None:
        """The first that is not set aside."""
        return next(iter(self._ready.values()), None)

    def add(self, batch_id: str, item: _Item) -> None:
        """Put it behind the others, or in the place of what has that id."""
        self._all[batch_id] = self._ready[batch_id] = item

    def pop(self, batch_id: str) -> _Item | None:
        """Take it out; None if it is not here."""
        self._ready.pop(batch_id, None)
        return self._all.pop(batch_id, None)

    def set_aside(self, batch_id: str) -> None:
        """Make `first_ready` pass over it."""
        self._ready.pop(batch_id, None)

    def bring_back(self, batch_id: str) -> None:
        """End `set_aside`: it becomes the first that is ready. It was the first when it was set aside."""
        item = self._all.get(batch_id)
        if item is not None:
            self._ready[batch_id] = item
            self._ready.move_to_end(batch_id, last=False)

    def replace(self, batch_id: str, successors: Mapping[str, _Item]) -> None:
        """Put others in the place of one that is here. None of them is set aside."""
        before = list(takewhile(lambda each: each != batch_id, self._all))
        self.pop(batch_id)
        self._all.update(successors)
        self._ready.update(successors)
        for each in reversed([*before, *successors]):
            self._all.move_to_end(each, last=False)
            if each in self._ready:
                self._ready.move_to_end(each, last=False)
