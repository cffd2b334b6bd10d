"""The evidence: how long the sender rests, who goes next, and what waits. `stories` says how a request is written."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery.answers import CONFIGURATION_RETRY, Verdict
from logcollector_handler.delivery.cases import Ruling
from logcollector_handler.delivery.suspects import REFUSALS_IN_A_ROW, Suspects
from tests.delivery.stories import batch, blamed, end, named, tell


@pytest.mark.parametrize(
    ("story", "rest", "firm"),
    [
        ("a+", 0, False),
        ("a~", 1, False),
        ("a~ a~ a?", 4, False),
        ("a~ a+ a~", 1, False),
        ("a!", CONFIGURATION_RETRY, True),
        ("Ax", 0, False),
        ("ax", 0, False),
        ("Ae", 0, False),
        ("A<", 0, False),
        ("a<", 0, False),
        # The first failure of all: it is set aside, and the next one tells who is at fault.
        ("a-", 0, False),
        ("a- b-", 0, False),
        # One that is set aside already holds up others only where the server is not seen to work.
        ("a- a-", 2, False),
        ("w+ a- w+ a-", 0, False),
    ],
)
def test_nothing_is_sent_for_as_long_as_the_answer_asks(story: str, rest: float, firm: bool) -> None:
    ruling = tell(Suspects(0), story)
    assert (ruling.rest, ruling.firm) == (rest, firm)


@pytest.mark.parametrize(
    ("asked", "rest", "firm"), [(0.0, 1, False), (0.9, 1, False), (1.0, 1, True), (90.0, 90, True)]
)
def test_a_wait_that_the_server_asks_for_is_kept_unless_it_is_none(asked: float, rest: float, firm: bool) -> None:
    ruling = Suspects(0).ended(batch("a"), Verdict.RETRY, now=0.0, chance=0.5, asked=asked)
    assert (ruling.rest, ruling.firm) == (rest, firm)


@pytest.mark.parametrize(
    ("story", "now", "next_one"),
    [
        # `o` is what the outbox offers.
        ("w+", 0, "o"),
        ("a-", 0, "o"),
        ("a-", 1, "o"),
        # Retried between two others, once it is due, or once the server works.
        ("w+ a- w+ b-", 9, "o"),
        ("a- w+", 0, "a"),
        ("a- b- w+", 0, "a"),
        ("a- b- w+ a-", 0, "o"),
        ("a- b- w+ a- w+", 0, "b"),
    ],
)
def test_a_batch_that_was_set_aside_goes_between_two_others(story: str, now: float, next_one: str) -> None:
    suspects = Suspects(0)
    tell(suspects, story)
    chosen = suspects.choose(batch("o"), now)
    assert chosen is not None
    assert chosen.id == next_one


def test_where_the_outbox_offers_none_one_that_was_set_aside_goes_when_it_is_due() -> None:
    suspects = Suspects(0)
    tell(suspects, "a-")
    assert suspects.choose(None, 0.0) is None
    assert suspects.due_in(0.25) == 0.75
    chosen = suspects.choose(None, 1.0)
    assert chosen is not None
    assert chosen.id == "a"
    assert chosen.body is None, "the outbox alone holds the body"


def test_what_was_set_aside_and_is_gone_from_the_outbox_is_forgotten() -> None:
    suspects = Suspects(0)
    tell(suspects, "a-")
    suspects.forget(batch("a"))
    assert suspects.due_in(0.0) is None
    assert not suspects.passes_over(batch("a"))


def test_batches_that_the_outbox_drops_do_not_stay_in_memory() -> None:
    suspects = Suspects(3)
    for number in range(5000):
        end(suspects, f"a{number}~")
    assert len(suspects._in_order) <= 1000


def test_lone_records_that_were_refused_are_buried_once_the_server_takes_another() -> None:
    suspects = Suspects(0)
    assert blamed(tell(suspects, "ax bx")) == ""
    assert all(suspects.passes_over(batch(each)) for each in "ab")
    assert [(each.id, why) for each, why in end(suspects, "w+").bury] == [("a", "x"), ("b", "x")]
    assert suspects.give_up_refused() == []


def test_lone_records_that_were_refused_are_buried_when_nothing_else_is_left_to_send() -> None:
    suspects = Suspects(0)
    tell(suspects, "ax bx")
    assert suspects.choose(None, 100.0) is None
    assert [(each.id, why) for each, why in suspects.give_up_refused()] == [("a", "x"), ("b", "x")]
    assert blamed(end(suspects, "w+")) == ""


def refuse(suspects: Suspects, count: int) -> list[Ruling]:
    return [end(suspects, f"r{number}x") for number in range(count)]


def test_the_twentieth_lone_refusal_in_a_row_is_a_configuration_error_and_all_of_them_are_set_aside() -> None:
    suspects = Suspects(0)
    *earlier, last = refuse(suspects, REFUSALS_IN_A_ROW)
    assert not any(ruling.misconfigured or ruling.rest for ruling in earlier)
    assert (last.misconfigured, last.rest, last.firm) == (True, CONFIGURATION_RETRY, True)
    assert suspects.give_up_refused() == []
    assert suspects.due_in(0.0) == CONFIGURATION_RETRY


def test_while_refusals_say_nothing_of_a_batch_none_is_split() -> None:
    suspects = Suspects(0)
    refuse(suspects, REFUSALS_IN_A_ROW)
    ruling = end(suspects, "Ax")
    assert (blamed(ruling), ruling.misconfigured) == ("", True)
    assert suspects.passes_over(named("A"))
    end(suspects, "w+")
    assert blamed(end(suspects, "Ax")) == "A"


def test_what_was_set_aside_while_refusals_said_nothing_waits_until_it_is_due() -> None:
    suspects = Suspects(0)
    refuse(suspects, REFUSALS_IN_A_ROW)
    end(suspects, "w+")
    assert suspects.choose(None, CONFIGURATION_RETRY - 1) is None
    assert suspects.choose(None, CONFIGURATION_RETRY) is not None


def test_a_batch_whose_successors_find_no_room_waits_for_a_backoff_that_grows() -> None:
    suspects = Suspects(0)
    now, waits = 0.0, []
    for _ in range(3):
        assert blamed(end(suspects, "Ax", now)) == "A"
        suspects.not_replaced(named("A"), now=now, chance=0.5)
        end(suspects, "w+", now)
        wait = suspects.due_in(now)
        assert wait is not None
        assert suspects.choose(None, now + wait - 0.01) is None, "no success of others makes it due earlier"
        waits.append(wait)
        now += wait
    assert waits == [1, 2, 4]


def test_what_does_not_fit_the_time_and_has_no_parts_waits_for_a_backoff_that_grows_and_is_never_buried() -> None:
    for story in ("a<", "A? A<"):
        suspects = Suspects(0)
        now, waits = 0.0, []
        for _ in range(4):
            ruling = [end(suspects, request, now) for request in story.split()][-1]
            assert (blamed(ruling), ruling.rest) == ("", 0)
            assert suspects.passes_over(named(story[0])), "the others go on"
            assert blamed(end(suspects, "w+", now)) == ""
            wait = suspects.due_in(now)
            assert wait is not None
            assert suspects.choose(None, now + wait - 0.01) is None, "no success of others makes it due earlier"
            waits.append(wait)
            now += wait
        assert waits == [1, 2, 4, 8]


def test_a_batch_has_parts_that_may_be_sent_unless_the_server_may_have_stored_it_whole() -> None:
    suspects = Suspects(0)
    tell(suspects, "B? C~")
    assert [suspects.may_split(named(each)) for each in "aABC"] == [False, True, False, True]


@pytest.mark.parametrize("story", ["w+ A- w+", "A- b- w+ A- b- w+ A- b- w+ A- b- w+"])
def test_successors_that_find_no_room_are_not_tried_again_at_each_success_of_others(story: str) -> None:
    suspects = Suspects(0)
    assert "A" in blamed(tell(suspects, story))
    suspects.not_replaced(named("A"), now=0.0, chance=0.5)
    assert [blamed(end(suspects, "w+")) for _ in range(5)] == [""] * 5
    assert blamed(tell(suspects, "A- w+")) == "A", "new evidence"


def test_a_refused_batch_that_failed_in_an_outage_before_does_not_go_at_once_when_its_halves_find_no_room() -> None:
    suspects = Suspects(0)
    assert blamed(tell(suspects, "A- w+ Ax")) == "A"
    suspects.not_replaced(named("A"), now=0.0, chance=0.5)
    end(suspects, "w+")
    assert suspects.choose(None, 0.0) is None
