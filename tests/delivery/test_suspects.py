"""The evidence: who is blamed after which requests. `stories` says how a request is written."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery.suspects import Suspects
from tests.delivery.stories import batch, blamed, end, named, tell


@pytest.mark.parametrize(
    ("story", "who"),
    [
        ("w+ a- w+", "a"),
        ("w+ A- w+", "A"),
        # Without a success before, or after, or right before and right after.
        ("a- w+", ""),
        ("w+ a-", ""),
        ("w+ a- b- w+", ""),
        ("w+ b- a- w+", ""),
        ("w+ a- b~ w+", ""),
        ("w+ b~ a- w+", ""),
        ("w+ a- b! w+", ""),
        # The success that counts is the one after its last failure.
        ("w+ a- w~ a- w+", ""),
        ("w+ a- w~ w+ a- w+", "a"),
        # A body that was sent again uncompressed tells nothing of the server.
        ("w+ Ze a- w+", ""),
        ("w+ a- Ze w+", ""),
        # Once they were set aside, nothing but they failed between two successes, three times in a row.
        ("a- b- w+ a- b- w+ a- b- w+", ""),
        ("a- b- w+ a- b- w+ a- b- w+ a- b- w+", "a b"),
        ("w+ a- b- w+ a- b- w+ a- b- w+ a- b- w+", "a b"),
        ("a- b- w+ a- b- w+ a- b- w~ w+ a- b- w+", ""),
        ("a- b- w+ a- b- w+ a- b- w~ w+ a- b- w+ a- b- w+", ""),
        ("a- b- w+ a- b- w+ w+ a- b- w+ w+ a- b- w+", "a b"),
        # Another one failed as well: an outage.
        ("a- b- w+ a- b- w+ a- b- w+ a- b- c- w+", ""),
        ("a- b- w+ a- b- w+ a- b- w+ a- b- c! w+", ""),
        # A batch that was delivered after all is not blamed.
        ("w+ a- a+", ""),
        ("w+ a- a+ w+", ""),
        # The server may have the batch under its id: its halves would be stored again, a lone record is not split.
        ("w+ A? w+ A- w+", ""),
        ("w+ A- w~ A? w+ A- w+", ""),
        ("A- b- w+ A? w+ A- b- w+ A- b- w+ A- b- w+", "b"),
        ("w+ a? w+ a- w+", "a"),
        # A batch that is too large for the line is split at once, but not where its halves would be stored again.
        ("A<", "A"),
        ("a<", ""),
        ("A? A<", ""),
        ("A? w+ A< w+", ""),
        # A line that is too slow for one batch may be the reason why another failed.
        ("w+ a- A< w+", ""),
        ("w+ A< a- w+", ""),
        # Turned away is not lost.
        ("w+ A~ w+ A- w+", "A"),
    ],
)
def test_a_batch_is_blamed_for_a_server_error_only_where_the_server_is_seen_to_work(story: str, who: str) -> None:
    assert blamed(tell(Suspects(0), story)) == who


@pytest.mark.parametrize(
    ("max_retries", "story", "who"),
    [
        (1, "w+ a- w+", ""),
        (1, "w+ a- w+ a- w+", "a"),
        (2, "w+ a- w+ a- w+", ""),
        (2, "w+ a- w+ a- w+ a- w+", "a"),
        # Not set aside before it failed as often as it may: until then it may be the server.
        (1, "w+ a- w+ a- b- b- w+ a- b- w+ a- b- w+", ""),
    ],
)
def test_no_batch_is_blamed_before_it_had_its_retries(max_retries: int, story: str, who: str) -> None:
    assert blamed(tell(Suspects(max_retries), story)) == who


@pytest.mark.parametrize(
    ("before", "split"),
    [("AA+", True), ("w+", True), ("w~", False), ("AB? w+", False)],
    ids=["its sibling went", "another went", "the server was away", "its answer was lost"],
)
def test_half_of_a_blamed_batch_is_split_once_more_only_where_a_success_went_right_before(
    before: str, split: bool
) -> None:
    suspects = Suspects(3)
    tell(suspects, "w+ A- w+ A- w+ A- w+ A- w+")
    suspects.replaced(named("A"), [named("AA"), named("AB")], blamed=True)
    tell(suspects, before)
    ruling = end(suspects, "AB-")
    assert bool(ruling.split) is split


@pytest.mark.parametrize(
    ("successor", "next_one"), [("AA", "AA"), ("aa", "o"), ("AAAA", "o")], ids=["half", "lone record", "plain copy"]
)
def test_half_of_a_blamed_batch_inherits_its_failures_but_a_lone_record_and_a_plain_copy_do_not(
    successor: str, next_one: str
) -> None:
    suspects = Suspects(1)
    tell(suspects, "w+ A- w+ A- w+")
    entries = {"AA": 4, "aa": 1, "AAAA": 8}[successor]
    suspects.replaced(named("A"), [batch(successor, entries)], blamed=True)
    tell(suspects, f"w~ {successor}- w+")
    chosen = suspects.choose(batch("o"), 0.0)
    assert chosen is not None
    assert chosen.id == next_one, "what failed as often as it may goes at once when the server works"


def test_half_of_a_batch_that_was_refused_is_not_split_at_a_server_error() -> None:
    suspects = Suspects(3)
    assert blamed(tell(suspects, "w+ Ax")) == "A"
    suspects.replaced(named("A"), [batch("AA", 4), batch("AB", 4)])
    assert blamed(tell(suspects, "AA+ AB-")) == ""
