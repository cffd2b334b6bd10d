"""The evidence while the process ends: short waits, each batch has its turn, and nothing is tried that cannot help."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery.answers import Verdict
from logcollector_handler.delivery.suspects import REFUSALS_IN_A_ROW, Suspects
from tests.delivery.stories import batch, blamed, end, named, tell


def ending(max_retries: int = 0, story: str = "") -> Suspects:
    """The evidence after a story, in a process that ends in five seconds."""
    suspects = Suspects(max_retries)
    if story:
        tell(suspects, story)
    suspects.hasten(5.0)
    return suspects


@pytest.mark.parametrize("how", "~-")
def test_the_waits_begin_with_a_tenth_of_a_second_and_end_with_one(how: str) -> None:
    suspects = ending(9)
    # A server that fails is asked again at once about another batch; these are all of the same.
    tell(suspects, f"a{how}")
    rests = [end(suspects, f"a{how}").rest for _ in range(5)]
    assert rests == [0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(("asked", "rest", "firm"), [(0.9, 0.1, False), (4.9, 4.9, True), (5.0, 0.1, False)])
def test_a_wait_that_the_server_asks_for_is_kept_if_it_is_over_before_the_end(
    asked: float, rest: float, firm: bool
) -> None:
    ruling = ending().ended(batch("a"), Verdict.RETRY, now=0.0, chance=0.5, asked=asked)
    assert (ruling.rest, ruling.firm) == (rest, firm)


@pytest.mark.parametrize("how", "~?-")
def test_a_batch_that_failed_is_set_aside_and_goes_again_when_all_others_had_their_turn(how: str) -> None:
    suspects = ending(3)
    tell(suspects, f"a{how} b{how}")
    assert suspects.passes_over(named("a"))
    tried = []
    for _ in range(4):
        chosen = suspects.choose(None, 1.0)
        assert chosen is not None
        tried.append(chosen.id)
        end(suspects, f"{chosen.id}{how}")
    assert tried == ["a", "b", "a", "b"]


def test_one_that_found_the_server_away_does_not_go_between_two_others() -> None:
    """Each of its attempts may take as long as a time-out."""
    suspects = ending()
    ahead = named("c")
    tell(suspects, "a~ b+")
    assert suspects.choose(ahead, 5.0 - 0.1) is ahead


def test_one_that_the_server_fails_on_goes_between_two_others_as_in_life() -> None:
    suspects = ending()
    tell(suspects, "a- b+")
    chosen = suspects.choose(named("c"), 1.0)
    assert chosen is not None
    assert chosen.id == "a"


def test_the_end_interrupts_the_waits_of_what_was_set_aside_before() -> None:
    suspects = Suspects(0)
    tell(suspects, "a- a- a-")
    assert suspects.choose(None, 0.5) is None
    suspects.hasten(5.0)
    chosen = suspects.choose(None, 0.5)
    assert chosen is not None
    assert chosen.id == "a"


def test_the_evidence_against_a_batch_is_the_same_as_in_life() -> None:
    assert blamed(tell(ending(1), "w+ A- w+ A- w+")) == "A"
    assert blamed(tell(ending(1), "w+ a- w+ a- w+")) == "a"
    assert blamed(tell(ending(1), "w+ A- w+ A-")) == "", "the server may be down since"
    assert blamed(tell(ending(1), "w+ A~ w+ A~ w+ A~ w+")) == "", "not at fault"


@pytest.mark.parametrize("before", ["", "a! "], ids=["in life all was well", "already in life"])
def test_wrong_settings_have_one_attempt_more(before: str) -> None:
    suspects = ending(0, before.strip())
    assert suspects.choose(named("b"), 0.0) is not None
    end(suspects, "b!")
    assert suspects.is_hopeless(0.0)
    assert suspects.choose(named("c"), 0.0) is None
    assert suspects.due_in(0.0) is None


def test_twenty_refusals_are_a_configuration_error_as_well() -> None:
    suspects = ending()
    for number in range(REFUSALS_IN_A_ROW):
        assert suspects.choose(named("r"), 0.0) is not None
        end(suspects, f"r{number}x")
    assert suspects.choose(named("r"), 0.0) is None
    assert suspects.give_up_refused() == []


def test_a_process_that_lives_on_waits_as_before() -> None:
    suspects = ending()
    tell(suspects, "a! b~")
    assert not suspects.is_hopeless(5.0)
    assert suspects.choose(named("c"), 5.0) is not None
    assert end(suspects, "c~", 5.0).rest == 4
