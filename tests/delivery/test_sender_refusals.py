"""The sender and a server that refuses: batches are split, records buried, and wrong settings waited out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.outbox import MemoryOutbox, Replaced
from tests.delivery.harness import Bench, batch_of, ok, refusing, status

CONFIGURATION = [300, 301, 302, 307, 308, 401, 403, 404, 405, 407, 410, 418, 451]


@pytest.mark.parametrize("code", [401, 404, 307])
def test_a_flush_does_not_break_the_rest_of_a_configuration_error(code: int) -> None:
    bench = Bench()
    bench.transport.rule = status(code)
    bench.put("a", "one")
    bench.step()
    bench.sender.hurry()
    assert bench.step() == 30


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_batch_is_split_until_the_offender_stands_alone(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.transport.rule = refusing(code, "m5")
    bench.put("a", *(f"m{number}" for number in range(9)))
    bench.put("b", "after")
    bench.run()
    stats = bench.stats()
    assert bench.transport.stored == [f"m{number}" for number in range(9) if number != 5] + ["after"]
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (9, 1, 0)
    said = capsys.readouterr().err
    assert "m5" in said
    assert f"HTTP {code}" in said


def test_a_dead_letter_is_named_by_the_beginning_of_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = status(422)
    bench.put("a", "order 17 " + "x" * 1000)
    bench.run()
    (said,) = capsys.readouterr().err.splitlines()
    assert "INFO at 1.500: 'order 17 xxx" in said
    assert said.endswith("x…'")
    assert said.count("x") < 110


def test_children_are_named_after_their_parent() -> None:
    bench = Bench()
    bench.transport.rule = refusing(400, "two")
    bench.put("a", "one", "two", "three")
    bench.run()
    assert bench.keys == ["a", "a.0", "a.1", "a.1.0", "a.1.1"]


def test_a_lone_record_that_is_refused_is_dead_lettered_also_when_nothing_else_comes() -> None:
    bench = Bench()
    bench.transport.rule = status(422)
    bench.put("a", "one")
    bench.run()
    assert bench.stats().dead_lettered == 1


def test_twenty_lone_refusals_in_a_row_are_a_configuration_error_and_bury_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = Bench()
    bench.transport.rule = status(400)
    bench.put("a", *(f"m{number}" for number in range(64)))
    bench.run(300)
    stats = bench.stats()
    assert (stats.dead_lettered, stats.pending) == (0, 64)
    assert "the logs are kept" in capsys.readouterr().err
    tried = len(bench.keys)
    bench.run(300)
    assert len(bench.keys) - tried == 10, "one attempt every 30 s"
    bench.transport.rule = ok
    bench.run(31)
    assert sorted(bench.transport.stored) == sorted(f"m{number}" for number in range(64))


def test_twenty_bad_records_in_a_row_do_not_lock_out_the_good_ones_for_ever() -> None:
    bench = Bench()
    bad = [f"bad{number}" for number in range(30)]
    bench.transport.rule = refusing(400, *bad)
    bench.put("a", *bad)
    bench.put("b", "good")
    bench.run(3600)
    stats = bench.stats()
    assert bench.transport.stored == ["good"]
    assert stats.dead_lettered + stats.pending == 30


def test_nineteen_lone_refusals_and_an_acceptance_are_nineteen_dead_letters() -> None:
    bench = Bench()
    bad = [f"bad{number}" for number in range(19)]
    bench.transport.rule = refusing(400, *bad)
    bench.put("a", *bad, "good")
    bench.run()
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (1, 19, 0)


def test_refusals_that_an_acceptance_came_between_are_not_in_a_row() -> None:
    bench = Bench()
    early = [f"early{number}" for number in range(19)]
    late = [f"late{number}" for number in range(19)]
    bench.transport.rule = refusing(400, *early, *late)
    bench.put("a", *early, "good")
    bench.run()
    bench.put("b", *late, "good too")
    bench.run()
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (2, 38, 0)


def test_415_sends_the_batch_again_plain_under_a_new_id_and_stays_plain() -> None:
    bench = Bench()
    messages = [f"m{number}" for number in range(5)]
    bench.put_batch(batch_of("z", *messages, compressed=True))
    bench.transport.rule = lambda request: status(415)(request) if request.compressed else ok(request)
    bench.run()
    assert [request.compressed for request in bench.transport.requests] == [True, False]
    assert bench.keys == ["z", "z.0"]
    assert bench.transport.stored == messages
    assert bench.sender.compressing is False
    assert bench.stats().pending == 0


def test_415_to_a_plain_body_is_a_configuration_error() -> None:
    bench = Bench()
    bench.transport.rule = status(415)
    bench.put("a", "one")
    bench.run(61)
    assert len(bench.keys) == 3
    assert bench.stats().pending == 1


@pytest.mark.parametrize("code", CONFIGURATION)
def test_a_configuration_error_is_said_once_kept_and_tried_every_30_seconds(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.transport.rule = status(code)
    bench.put("a", "one")
    bench.put("b", "two")
    bench.run(299)
    assert bench.keys == ["a"] * 10
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"HTTP {code}" in said[0]
    assert "check" in said[0]
    bench.transport.rule = ok
    bench.run(31)
    assert bench.transport.stored == ["one", "two"]


def test_an_html_page_is_no_delivery() -> None:
    bench = Bench()
    bench.transport.rule = lambda request: Answer(status=200, arrived=True, foreign=True, detail="an HTML page")
    bench.put("a", "one")
    bench.run(61)
    assert bench.stats().delivered == 0
    assert len(bench.keys) == 3


@pytest.mark.parametrize("code", [400, 409, 415, 422, 451])
def test_a_page_that_refuses_gives_up_no_record_and_waits_as_a_wrong_configuration(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.transport.rule = status(code, foreign=True)
    for number in range(30):
        bench.put(f"b{number:02}", f"m{number}")
    bench.run(61)
    assert bench.keys == ["b00"] * 3
    assert (bench.stats().pending, bench.stats().dead_lettered) == (30, 0)
    assert "check server_url" in capsys.readouterr().err
    bench.transport.rule = ok
    bench.run(31)
    assert bench.stats().delivered == 30


def test_a_page_with_413_splits_as_the_word_of_a_server_does() -> None:
    bench = Bench()
    bench.transport.rule = lambda request: (
        status(413, foreign=True)(request) if len(request.entries) > 1 else ok(request)
    )
    bench.put("a", "one", "two")
    bench.run()
    assert bench.transport.stored == ["one", "two"]


def test_a_client_that_cannot_be_set_up_is_a_configuration_error(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = lambda request: Answer(unusable=True, detail="FileNotFoundError: ca.pem")
    bench.put("a", "one")
    bench.run(31)
    assert "ca.pem" in capsys.readouterr().err
    assert bench.stats().pending == 1


class CrampedOutbox(MemoryOutbox):
    """An outbox without room for the successors of a batch."""

    cramped = True

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> Replaced:
        return Replaced.NO_ROOM if self.cramped else super().replace(batch, successors)


def cramped_bench() -> tuple[Bench, CrampedOutbox]:
    bench = Bench(make_outbox=CrampedOutbox)
    assert isinstance(bench.outbox, CrampedOutbox)
    return bench, bench.outbox


@pytest.mark.parametrize("code", [400, 500])
def test_a_batch_whose_halves_find_no_room_stays_whole_while_the_others_go_on(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, outbox = cramped_bench()
    bench.transport.rule = refusing(code, "bad")
    bench.put("a", "one", "bad", "two")
    for number in range(60):
        bench.put(f"b{number:02}", f"m{number}")
        bench.run(5)
    assert {key for key in bench.keys if key.startswith("a")} == {"a"}
    assert bench.keys.count("a") < 20, "it waits longer each time"
    assert bench.transport.stored == [f"m{number}" for number in range(60)]
    assert bench.stats().pending == 3
    assert capsys.readouterr().err.count("there is no room") == 1
    outbox.cramped = False
    for number in range(60, 120):
        bench.put(f"c{number}", f"m{number}")
        bench.run(5)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (122, 1, 0)


def test_a_plain_copy_that_finds_no_room_is_tried_again_later_and_the_batch_stays() -> None:
    bench, outbox = cramped_bench()
    bench.transport.rule = lambda request: status(415)(request) if request.compressed else ok(request)
    bench.put_batch(batch_of("z", "one", "two", compressed=True))
    bench.run(60)
    assert set(bench.keys) == {"z"}
    assert len(bench.keys) < 10
    outbox.cramped = False
    bench.run(60)
    assert bench.transport.stored == ["one", "two"]


def test_at_exit_a_batch_whose_halves_find_no_room_has_one_attempt() -> None:
    bench, _ = cramped_bench()
    bench.transport.rule = refusing(400, "bad")
    bench.put("a", "one", "bad")
    bench.put("b", "two")
    bench.sender.exit(bench.clock.now + 5)
    bench.run()
    assert bench.keys == ["a", "b"]


def test_a_dead_letter_whose_body_is_gone_is_left_to_the_outbox() -> None:
    """Its file was deleted meanwhile: the outbox finds that out when the body is asked for, and counts it."""
    asked: list[str] = []

    class Emptied(MemoryOutbox):
        def begin(self, batch: Batch) -> Batch | None:
            asked.append(batch.id)
            return super().begin(batch) if len(asked) == 1 else None

    bench = Bench(make_outbox=Emptied)
    bench.transport.script = [status(400)]
    bench.put("a", "one")
    bench.run()
    assert asked == ["a", "a"]
    assert bench.stats().dead_lettered == 0


def test_a_second_lack_of_room_is_told_of_again(capsys: pytest.CaptureFixture[str]) -> None:
    bench, outbox = cramped_bench()
    bench.transport.rule = refusing(400, "bad")
    for batch_id in "ab":
        outbox.cramped = True
        bench.put(batch_id, "good", "bad")
        bench.run(90)
        outbox.cramped = False
        bench.run(90)
    assert capsys.readouterr().err.count("there is no room") == 2


def test_a_notice_of_losses_that_is_refused_alone_goes_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = refusing(400, "notice")
    bench.put("a", "one", losses={"queue_full": 3})
    bench.run()
    stats = bench.stats()
    assert (bench.transport.stored, stats.dead_lettered, stats.pending) == (["one"], 0, 0)
    assert capsys.readouterr().err == ""
