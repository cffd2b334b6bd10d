"""The order of batches, compared with a list that does the same slowly."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from logcollector_handler.delivery.order import Order

_WHICH = st.integers(0, 10)


class OrderBesideAList(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.order: Order[str] = Order()
        self.model: list[str] = []
        self.aside: set[str] = set()
        self.made = 0

    def _one(self, which: int) -> str:
        return self.model[which % len(self.model)] if self.model else "none"

    @rule()
    def add(self) -> None:
        self.made += 1
        self.order.add(f"{self.made}", f"{self.made}")
        self.model.append(f"{self.made}")

    @rule(which=_WHICH)
    def pop(self, which: int) -> None:
        one = self._one(which)
        assert self.order.pop(one) == (one if one in self.model else None)
        if one in self.model:
            self.model.remove(one)

    @rule(which=_WHICH)
    def set_aside(self, which: int) -> None:
        one = self._one(which)
        self.order.set_aside(one)
        self.aside.add(one)

    @rule()
    def bring_back_the_first(self) -> None:
        one = self._one(0)
        self.order.bring_back(one)
        self.aside.discard(one)

    @rule(which=_WHICH, count=st.integers(1, 3))
    def replace(self, which: int, count: int) -> None:
        if self.model:
            one = self._one(which)
            successors = [f"{one}.{number}" for number in range(count)]
            self.order.replace(one, {each: each for each in successors})
            at = self.model.index(one)
            self.model[at : at + 1] = successors

    @invariant()
    def is_the_same(self) -> None:
        if hasattr(self, "order"):
            ready = [each for each in self.model if each not in self.aside]
            assert list(self.order) == self.model
            assert len(self.order) == len(self.model)
            assert self.order.first() == next(iter(self.model), None)
            assert self.order.first_ready() == next(iter(ready), None)
            assert list(self.order._ready) == ready
            assert [self.order.get(each) for each in self.model] == self.model


TestOrder = OrderBesideAList.TestCase
TestOrder.settings = settings(max_examples=60, stateful_step_count=40)


def test_finding_the_first_does_not_take_longer_the_more_went_before() -> None:
    """Counted in steps of the iterator that a plain dict would need."""
    order: Order[int] = Order()
    for number in range(50_000):
        order.add(f"{number}", number)
    for number in range(49_999):
        assert order.first_ready() == number
        assert order.first() == number
        order.pop(f"{number}")
    assert order.first() == 49_999
