"""A 2xx that rejects some of the records, as OTLP's `partial_success` does: what is counted, kept and said."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.outbox import Outbox
from logcollector_handler.delivery.spool import survey
from tests.delivery.harness import Bench, Request, batch_of
from tests.delivery.pipelines import records_add_up
from tests.delivery.spool.processes import Process

LOSSES = {"queue_full": 3}


def rejecting(*counts: int, why: str = "too old") -> list[Callable[[Request], Answer]]:
    """Answers, one a request, each of which rejects that many."""
    return [lambda request, count=count: Answer(200, True, "HTTP 200", rejected=count, why=why) for count in counts]  # type: ignore[misc]


def test_as_many_records_as_were_rejected_count_as_dead_letters_and_the_others_as_delivered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = Bench()
    bench.transport.script = rejecting(2)
    bench.put("a", "one", "two", "three")
    bench.run()
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending, stats.batches) == (1, 2, 0, 1)
    assert len(bench.outbox) == 0
    assert bench.keys == ["a"], "it is not sent again"
    said = capsys.readouterr().err
    assert "2 records were given up, because http://localhost:8000 rejected that many of a batch of 3" in said
    assert "(too old)" in said


@pytest.mark.parametrize(
    ("messages", "losses", "rejected", "dead"),
    [
        (["one"], {}, 1, 1),
        (["one"], {}, 7, 1),
        # A notice of losses is an entry and no record. Which entries were rejected nobody knows: records, if there are.
        (["one", "two"], LOSSES, 1, 1),
        (["one", "two"], LOSSES, 2, 2),
        (["one", "two"], LOSSES, 3, 2),
        ([], LOSSES, 1, 0),
        (["one"], {}, -1, 0),
    ],
)
def test_no_more_records_are_given_up_than_the_batch_has(
    messages: list[str], losses: dict[str, int], rejected: int, dead: int
) -> None:
    bench = Bench()
    bench.transport.script = rejecting(rejected)
    bench.put("a", *messages, losses=losses)
    bench.run()
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (len(messages) - dead, dead, 0)


@given(
    batches=st.lists(st.tuples(st.integers(1, 5), st.integers(-1, 7), st.booleans()), max_size=8),
)
def test_whatever_is_rejected_each_record_is_counted_once(batches: list[tuple[int, int, bool]]) -> None:
    bench = Bench()
    bench.transport.script = rejecting(*(rejected for _, rejected, _ in batches), why="")
    for number, (records, _, notice) in enumerate(batches):
        bench.put(f"{number}", *["x"] * records, losses=LOSSES if notice else {})
        assert records_add_up(bench.stats())
    bench.run()
    stats = bench.stats()
    assert records_add_up(stats)
    assert stats.accepted == stats.delivered + stats.dead_lettered == sum(records for records, _, _ in batches)


def test_the_next_batch_tells_the_server_how_many_were_refused() -> None:
    bench = Bench()
    bench.transport.script = rejecting(2)
    bench.put("a", "one", "two", "three")
    bench.run()
    assert bench.ledger.take_losses() == {"refused": 2}


def test_rejections_are_said_as_often_as_the_reporter_allows_and_warnings_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = Bench()
    bench.transport.script = [*rejecting(0, 0, 0, why="this endpoint is old"), *rejecting(1, why=""), *rejecting(0)]
    for number in range(5):
        bench.put(f"{number}", "one")
        # Longer than the reporter keeps quiet.
        bench.run(3600.0)
    said = capsys.readouterr().err
    assert said.count("http://localhost:8000 takes logs and warns: this endpoint is old") == 1
    assert said.count("warns") == 1
    assert "without saying which (nor why)" in said
    assert (bench.stats().delivered, bench.stats().dead_lettered) == (4, 1)


def spooled(directory: Path) -> tuple[Bench, Process]:
    """A sender whose outbox is that of a process with a spool."""
    process = Process(directory)

    def make(max_bytes: int, ledger: Ledger) -> Outbox:
        process.ledger = process.outbox._ledger = ledger
        return process.outbox

    return Bench(make_outbox=make), process


@pytest.mark.parametrize("compressed", [False, True])
def test_with_a_spool_the_whole_body_is_kept_under_a_name_that_says_so(tmp_path: Path, compressed: bool) -> None:
    bench, process = spooled(tmp_path)
    bench.transport.script = rejecting(1)
    batch_id = process.ids.draw()
    bench.put_batch(batch_of(batch_id, "one", "two", compressed=compressed))
    bench.run()
    (path,) = tmp_path.glob("*/dead/*")
    assert path.name == f"{batch_id}.partly.json" + (".gz" if compressed else "")
    body = gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()
    assert [entry["message"] for entry in json.loads(body)["logs"]] == ["one", "two"]
    assert [path.name for path in tmp_path.glob("*/*.json*")] == [], "it is not sent again"
    assert (bench.stats().delivered, bench.stats().dead_lettered) == (1, 1)
    assert [(each.kind, each.files) for each in survey(tmp_path)] == [("refused", 1)]


def test_a_body_that_cannot_be_kept_is_said_and_counted_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, process = spooled(tmp_path)
    bench.transport.script = rejecting(1)
    bench.put_batch(batch_of(process.ids.draw(), "one", "two"))
    (place,) = tmp_path.iterdir()
    (place / "dead").write_text("a file where the directory should be")
    bench.run()
    assert "a batch with refused records could not be kept" in capsys.readouterr().err
    assert (bench.stats().delivered, bench.stats().dead_lettered, bench.stats().pending) == (1, 1, 0)


def test_of_a_batch_of_another_process_the_counts_are_kept_apart(tmp_path: Path) -> None:
    other = Process(tmp_path)
    other.put("one", "two", "three")
    other.die()
    bench, _ = spooled(tmp_path)
    bench.outbox.look()
    bench.transport.script = rejecting(2)
    bench.run()
    stats = bench.stats()
    assert (stats.accepted, dict(stats.adopted)) == (0, {"delivered": 1, "dead_lettered": 2})
