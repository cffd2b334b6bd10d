"""The order of batches that others left: those of one owner in the order of writing, the owners in turn.

So a process with a long backlog holds up no other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from logcollector_handler.delivery.order import Order

from .files import owner_of

_Item = TypeVar("_Item")


class Turns(Generic[_Item]):
    """An `Order` for each owner, behind the methods of one."""

    def __init__(self) -> None:
        # Only owners that have batches here; the one whose turn it is comes first.
        self._orders: OrderedDict[str, Order[_Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._orders.values()))

    def __iter__(self) -> Iterator[_Item]:
        """Owner by owner, those that are set aside included. Nothing may be changed meanwhile."""
        return (item for order in self._orders.values() for item in order)

    def get(self, batch_id: str) -> _Item | None:
        """What has that id, if it is here."""
        order = self._orders.get(owner_of(batch_id))
        return None if order is None else order.get(batch_id)

    def first_ready(self) -> _Item | None:
        """The first that is not set aside, of the owner whose turn it is."""
        return next((first for order in self._orders.values() if (first := order.first_ready()) is not None), None)

    def used(self, batch_id: str) -> None:
        """The owner of a batch has had its turn."""
        if owner_of(batch_id) in self._orders:
            self._orders.move_to_end(owner_of(batch_id))

    def add(self, batch_id: str, item: _Item) -> None:
        """Put it behind the others of its owner."""
        self._orders.setdefault(owner_of(batch_id), Order()).add(batch_id, item)

    def pop(self, batch_id: str) -> _Item | None:
        """Take it out; None if it is not here."""
        owner = owner_of(batch_id)
        order = self._orders.get(owner)
        if order is None:
            return None
        item = order.pop(batch_id)
        if not len(order):
            del self._orders[owner]
        return item

    def set_aside(self, batch_id: str) -> None:
        """Make `first_ready` pass over it."""
        if (order := self._orders.get(owner_of(batch_id))) is not None:
            order.set_aside(batch_id)

    def bring_back(self, batch_id: str) -> None:
        """End `set_aside`."""
        if (order := self._orders.get(owner_of(batch_id))) is not None:
            order.bring_back(batch_id)

    def replace(self, batch_id: str, successors: Mapping[str, _Item]) -> None:
        """Put others of the same owner in the place of one that is here. None of them is set aside."""
        self._orders[owner_of(batch_id)].replace(batch_id, successors)
