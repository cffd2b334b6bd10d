"""NDJSON goes to a real ClickHouse: nothing is lost while that is killed, and today's engine stores no batch twice."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.wire import FORMATS
from tests.clickhouse_server import clickhouse
from tests.entry.making import BIG, builder, record
from tests.integration.clickhouse import Posts, outlast, stored_today

pytestmark = pytest.mark.integration


def test_no_record_is_missing_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    found = outlast(tmp_path, records=4000, kills=2, batch_size=100)
    assert (found.stats.accepted, found.stats.delivered, found.stats.pending) == (4000, 4000, 0)
    assert found.distinct == 4000
    # A kill between the last byte that the server reads and its answer makes a batch come twice; nothing else does.
    repeated = found.posts.count - found.stats.batches
    assert 4000 <= found.rows <= 4000 + repeated * 100


def test_fields_arrive_in_their_columns_and_the_log_has_the_rest(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with clickhouse(tmp_path / "server") as server:
        log = logging.Logger("shop")  # noqa: LOG001 - one that only this test has
        handler = LogCollectorHandler(server_url=server.url(), wire="ndjson", service="shop")
        log.addHandler(handler)
        try:
            for number in range(100):  # so many that they are compressed
                log.info("sold %d\t'\\", number, extra={"user_id": number, "duration_ms": 1.5, "cart": [number]})
            try:
                raise ValueError("no\nway 💥 \0 \ud800")
            except ValueError:
                log.exception("failed")
            assert handler.flush(timeout=120)
        finally:
            handler.close()
        assert server.query("SELECT count(), uniqExact(user_id), sum(duration_ms), any(service) FROM logs") == [
            ["101", "101", "150", "shop"]
        ]
        ((message, age),) = server.query(
            "SELECT message, abs(created_at - toFloat64(toUnixTimestamp(now()))) < 600 FROM logs WHERE user_id = '7'"
        )
        assert (message, age) == ("sold 7\\t\\'\\\\", "1")
        ((level, error, trace),) = server.query("SELECT level, error_type, stack_trace FROM logs WHERE level = 'ERROR'")
        assert (level, error) == ("ERROR", "ValueError")
        assert re.search(r"ValueError: no\\nway 💥 \ufffd \ufffd$", trace)


def test_a_record_that_the_table_refuses_leaves_its_neighbours_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("server", "spool"):
        (tmp_path / name).mkdir()
    with clickhouse(tmp_path / "server") as server:
        server.query("CREATE TABLE numbered (message String, user_id UInt32) ENGINE = MergeTree ORDER BY user_id")
        handler = LogCollectorHandler(
            server_url=server.url("numbered"),
            wire="ndjson",
            spool_dir=tmp_path / "spool",
            batch_size=2,
            # This server answers 500, and the batches behind show that it works.
            max_retries=0,
        )
        log = logging.Logger("shop")  # noqa: LOG001 - one that only this test has
        log.addHandler(handler)
        try:
            for number in range(20):
                log.info("of %d", number, extra={"user_id": "seven" if number == 7 else number})
            assert handler.flush(timeout=120)
            stats = handler.stats()
        finally:
            handler.close()
        assert (stats.delivered, stats.dead_lettered) == (19, 1)
        assert server.query("SELECT user_id FROM numbered ORDER BY user_id") == [
            [str(number)] for number in range(20) if number != 7
        ]
    assert "'of 7'" in capsys.readouterr().err


@pytest.fixture
def today() -> None:
    """For tests that need today's engine in this process's Python."""
    pytest.importorskip("chdb", reason="needs chdb-core, 530 MB; the group `engines` has it")


@pytest.mark.usefixtures("today")
def test_a_batch_that_comes_again_is_stored_once_for_its_token(tmp_path: Path) -> None:
    found = outlast(tmp_path, records=1000, kills=1, batch_size=100)
    again = Posts(tmp_path / "again")
    bodies = [(path.name.partition("_")[2], path.read_bytes()) for path in sorted(found.posts.directory.iterdir())]
    for batch_id, body in [*bodies, *bodies]:
        again.keep(batch_id, body, compressed=False)
    counts = stored_today(again)
    assert counts["stored_once"] == 1000
    assert counts["stored_each"] >= 2000


@pytest.mark.usefixtures("today")
def test_the_engine_of_today_takes_fields_of_any_kind(tmp_path: Path) -> None:
    form = FORMATS["ndjson"]
    by = builder(site_entry=form.site_entry, common=form.common)
    deep: dict[str, Any] = {}
    for _ in range(30):
        deep = {"deeper": deep, "beside": [[[deep]]]}
    dotted = ({"a": {"b": 1}, "a.b": 2}, {"a": 1, "a.b": 2}, {"": 1}, {"a.": 1}, {".": 1}, {"a..b": 2}, {"x y": "é"})
    numbers = [{"n": number} for number in (2**63, 2**70, -(2**70), 1e308, float("nan"), True, None)]
    nested: tuple[dict[str, Any], ...] = ({"a": []}, {"a": {}}, {"a": [1, "x", None, {"y": [2.5]}]}, deep)
    texts = ({"`a`": 1}, {'a"b\\': "\n\t'"}, {"\0": "\ud800"}, {"k" * 5000: 1})
    many = {f"k{number}": number for number in range(2000)}
    extras: list[dict[str, Any]] = [*dotted, *numbers, *nested, *texts, many]
    entries = [by.build(record("strange", extra={"given": 1, **extra})) for extra in extras]
    posts = Posts(tmp_path / "posts")
    posts.keep("7", form.join(form.encode(entries, BIG)), compressed=False)
    assert stored_today(posts)["stored_once"] == len(extras)
