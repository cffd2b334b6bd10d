"""The evidence in a world that hypothesis draws: what never happens, and what always does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.delivery.answers import Verdict
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.suspects import Suspects
from tests.delivery.stories import batch


@dataclass
class World:
    """An outbox without bodies, and a sender without a network: what happens is drawn by hypothesis."""

    max_retries: int = 3
    #: Ids of records that the server fails on.
    poison: frozenset[int] = frozenset()
    now: float = 0.0
    waiting: dict[str, Batch] = field(default_factory=dict)
    records: dict[str, range] = field(default_factory=dict)
    #: The requests so far: id and verdict.
    requests: list[tuple[str, Verdict]] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    blamed: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.suspects = Suspects(self.max_retries)

    def put(self, entries: int) -> str:
        batch_id = f"b{len(self.records)}"
        self.records[batch_id] = range(self.made, self.made + entries)
        self.made += entries
        self.waiting[batch_id] = batch(batch_id, entries)
        return batch_id

    def healthy(self, batch_id: str) -> Verdict:
        return Verdict.SERVER_ERROR if self.poison & set(self.records[batch_id]) else Verdict.DELIVERED

    def step(self, verdict: Verdict | None = None, *, lost: bool = False) -> bool:
        """One request, which ends as a healthy server would end it unless it is said; False when none is due."""
        offered = (each for each in self.waiting.values() if not self.suspects.passes_over(each))
        chosen = self.suspects.choose(next(offered, None), self.now)
        if chosen is None:
            return False
        verdict = verdict or self.healthy(chosen.id)
        if lost and verdict is Verdict.RETRY:
            self.lost.add(chosen.id)
        self.requests.append((chosen.id, verdict))
        ruling = self.suspects.ended(chosen, verdict, now=self.now, chance=0.5, lost=lost and verdict is Verdict.RETRY)
        if verdict is Verdict.DELIVERED:
            del self.waiting[chosen.id]
        self.now += ruling.rest
        for each, _ in ruling.bury:
            self._check_blame(each.id)
            self.buried.append(each.id)
            del self.waiting[each.id]
        for each in ruling.split:
            self._check_blame(each.id)
            assert each.id not in self.lost, "the server may have stored it"
            self._split(each.id)
        return True

    def _check_blame(self, batch_id: str) -> None:
        self.blamed.append(batch_id)
        failed = max(at for at, (each, _) in enumerate(self.requests) if each == batch_id)
        is_half = batch_id.rpartition(".")[0] in self.blamed
        # Half of a batch that was blamed is split at once where the request right before succeeded.
        since = failed - 1 if is_half and len(self.records[batch_id]) > 1 else failed
        assert Verdict.DELIVERED in [verdict for _, verdict in self.requests[since:]], f"no evidence against {batch_id}"

    def _split(self, batch_id: str) -> None:
        parent, records = self.waiting[batch_id], self.records[batch_id]
        middle = len(records) // 2
        halves = {f"{batch_id}.0": records[:middle], f"{batch_id}.1": records[middle:]}
        self.records |= halves
        successors = [batch(each, len(some)) for each, some in halves.items()]
        self.suspects.replaced(parent, successors, blamed=True)
        del self.waiting[batch_id]
        self.waiting |= {each.id: each for each in successors}

    def live(self, seconds: float, *failures: Verdict) -> None:
        """Let time pass. Each request fails in one of these ways, or is answered by a healthy server without any."""
        until = self.now + seconds
        number = 0
        while self.now < until:
            if self.step(failures[number % len(failures)] if failures else None):
                number += 1
            else:
                wait = self.suspects.due_in(self.now)
                self.now = until if wait is None else min(until, self.now + wait)


ANSWERS: Final = st.sampled_from([Verdict.DELIVERED, Verdict.RETRY, Verdict.SERVER_ERROR, Verdict.SERVER_ERROR])
FAILURES: Final = st.sampled_from([Verdict.SERVER_ERROR, Verdict.RETRY])


@given(
    st.integers(0, 3),
    st.lists(st.tuples(ANSWERS, st.booleans(), st.integers(0, 9))),
)
def test_whatever_the_answers_nobody_is_blamed_without_a_success_of_another_after_its_last_failure(
    max_retries: int, answers: list[tuple[Verdict, bool, int]]
) -> None:
    world = World(max_retries)
    for verdict, lost, entries in answers:
        if entries:
            world.put(entries)
        if not world.step(verdict, lost=lost):
            world.now += 1.0


@given(
    st.integers(0, 3),
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 9), min_size=3, max_size=8),
            st.floats(45, 300),
            st.lists(FAILURES, min_size=1, max_size=7),
            st.integers(1, 6),
        ),
        max_size=6,
    ),
)
def test_an_outage_blames_nobody_however_it_begins_and_ends(
    max_retries: int, outages: list[tuple[list[int], float, list[Verdict], int]]
) -> None:
    """Batches come before and during each outage, and some requests succeed between two of them."""
    world = World(max_retries)
    for sizes, seconds, verdicts, successes in outages:
        for size in sizes:
            world.put(size)
        world.live(seconds, *verdicts)
        for _ in range(successes):
            world.step()
    world.live(120)
    assert (world.blamed, world.waiting) == ([], {})


@given(st.integers(0, 3), st.integers(1, 64), st.data(), st.floats(0.5, 10))
def test_a_poison_record_among_good_traffic_is_found_within_a_bounded_number_of_requests(
    max_retries: int, entries: int, data: st.DataObject, gap: float
) -> None:
    at = data.draw(st.integers(0, entries - 1))
    world = World(max_retries, poison=frozenset({at}))
    world.put(entries)
    for _ in range(100):
        world.put(1)
        world.live(gap)
    assert [list(world.records[each]) for each in world.buried] == [[at]]
    spent = sum(each.startswith("b0") for each, _ in world.requests)
    halvings = (entries - 1).bit_length()
    assert spent <= 12 + 3 * halvings


@given(st.integers(0, 3), st.integers(2, 64))
def test_a_batch_with_a_lost_answer_is_never_split_for_a_server_error(max_retries: int, entries: int) -> None:
    world = World(max_retries, poison=frozenset({0}))
    world.put(entries)
    world.step(Verdict.RETRY, lost=True)
    for _ in range(40):
        world.put(1)
        world.live(5)
    assert world.blamed == []
    assert list(world.waiting) == ["b0"]
