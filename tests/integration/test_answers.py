"""The table of answers against a real server: what it answers, or fails to, one fault after the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial

import pytest

from tests.delivery.harness import batch_of
from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import refuse_records
from tests.integration.faulty_connections import Request
from tests.integration.rig import Rig, make_rig

pytestmark = pytest.mark.integration


LOST_OR_NOT: dict[str, Callable[[], Behaviour]] = {
    "cut before the body": behaviours.cut_before_body,
    "cut in the body": behaviours.cut_during_body,
    "cut after the body": behaviours.cut_after_body,
    "cut after it stored the batch": behaviours.cut_after_storing,
    "answer cut short": behaviours.truncated_answer,
    "answer trickles": lambda: behaviours.trickle(0.05),
    "hangs": behaviours.hang,
    "hangs after it stored the batch": lambda: behaviours.hang(stored=True),
    **{str(code): partial(answer, code) for code in (408, 409, 425, 429, 502, 503, 504)},
    "504 after it stored the batch": lambda: behaviours.store_then_answer(504),
}


@pytest.mark.parametrize("name", LOST_OR_NOT)
def test_a_batch_survives_and_is_stored_once(rig: Rig, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server._script.extend([LOST_OR_NOT[name](), LOST_OR_NOT[name]()])
    rig.put("a", *(f"m{number}" for number in range(500)))
    rig.put("b", "after")
    stats = rig.run(10)
    assert rig.stored == [f"m{number}" for number in range(500)] + ["after"]
    assert rig.keys == ["a", "a", "a", "b"], "the same key each time, and in order"
    complete = [request.body for request in rig.server.requests[:3] if len(request.body) > 20_000]
    assert len(set(complete)) == 1, "a retry repeats the byte-identical body"
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (501, 0, 0, {})
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, "one plain sentence for one outage"
    assert "takes no logs now" in said[0]
    assert "kept" in said[0]


def test_a_minute_of_500_loses_nothing_and_buries_nothing(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server.default = answer(500)
    for number in range(50):
        rig.put(f"b{number:02}", f"m{number}")
    stats = rig.run(60)
    assert (stats.pending, stats.dead_lettered) == (50, 0)
    rig.server.default = answer()
    stats = rig.run(31)
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (50, 0, 0, {})
    assert sorted(rig.stored) == sorted(f"m{number}" for number in range(50))
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("code", [400, 413, 422])
def test_the_record_that_the_server_refuses_is_the_only_one_that_does_not_arrive(rig: Rig, code: int) -> None:
    rig.server.default = refuse_records(lambda entry: entry["message"] in ("m3", "m77"), code)
    rig.put("a", *(f"m{number}" for number in range(100)))
    stats = rig.run()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (98, 2, 0)
    assert rig.stored == [f"m{number}" for number in range(100) if number not in (3, 77)]


def test_a_body_that_is_too_large_for_the_server_is_sent_in_parts(rig: Rig) -> None:
    rig.server.default = lambda request: answer(413 if len(request.body) > 5000 else 200)
    rig.put("a", *(f"m{number}" for number in range(300)))
    stats = rig.run()
    assert (stats.delivered, stats.dead_lettered) == (300, 0)
    assert rig.stored == [f"m{number}" for number in range(300)]


def test_a_record_on_which_only_the_server_fails_is_isolated(rig: Rig) -> None:
    rig.server.default = refuse_records(lambda entry: entry["message"] == "m5", 500)
    rig.put("a", *(f"m{number}" for number in range(16)))
    for number in range(16, 40):
        rig.put(f"b{number}", f"m{number}")
        stats = rig.run(5)
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (39, 1, 0)


def test_gzip_that_the_server_does_not_take_is_sent_again_plain_under_another_key() -> None:
    def rule(request: Request) -> Behaviour:
        return answer(415 if request.headers.get("content-encoding") == "gzip" else 200)

    with make_rig() as rig:
        rig.server.default = rule
        rig.bench.ledger.take(200)
        rig.bench.outbox.put(batch_of("a", *(f"m{number}" for number in range(200)), compressed=True))
        stats = rig.run()
        assert stats.delivered == 200
        assert rig.keys == ["a", "a.0"]
        assert rig.bench.sender.compressing is False


CONFIGURATION: dict[str, Behaviour] = {
    "401": answer(401),
    "403": answer(403),
    "404": answer(404),
    "405": answer(405),
    "407": answer(407),
    "415": answer(415),
    "307": behaviours.redirect("http://127.0.0.1:9/elsewhere"),
    "302": behaviours.redirect("http://127.0.0.1:9/login", 302),
    "HTML": behaviours.html_page(),
}


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_wrong_configuration_is_said_once_and_nothing_is_lost(
    rig: Rig, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.server.default = CONFIGURATION[name]
    rig.put("a", "one")
    rig.put("b", "two")
    stats = rig.run(89)
    assert rig.keys == ["a"] * 3, "every 30 s"
    assert (stats.delivered, stats.pending) == (0, 2)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "check" in said[0]
    rig.server.default = answer()
    assert rig.run(31).delivered == 2
    assert rig.stored == ["one", "two"]


def test_retry_after_is_honoured_as_seconds_and_as_a_date(rig: Rig) -> None:
    rig.server._script.append(behaviours.retry_after(100, 429))
    rig.put("a", "one")
    rig.bench.step()
    assert rig.bench.step() == pytest.approx(100, abs=1)
    rig.bench.clock.advance(100)
    date = datetime.fromtimestamp(rig.bench.clock.time(), timezone.utc) + timedelta(seconds=60)
    rig.server._script.append(behaviours.retry_after(date, 503))
    rig.bench.step()
    assert rig.bench.step() == pytest.approx(60, abs=2)


def test_a_wrong_count_is_reported_once_and_counts_as_delivered(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server.default = behaviours.wrong_count(5)
    rig.put("a", "one")
    rig.put("b", "two")
    assert rig.run(100).delivered == 2
    assert rig.keys == ["a", "b"]
    assert len(capsys.readouterr().err.splitlines()) == 1
