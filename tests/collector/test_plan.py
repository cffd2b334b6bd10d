"""Each kind of query reads the right index of the file, so that a million rows stay fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from logcollector_handler.collector import conditions, matching
from logcollector_handler.collector.conditions import COMMON, Finds, Sql, finds
from logcollector_handler.collector.plan import Plan, count_sql, newest_first
from logcollector_handler.collector.query import Cursor, Query, parse_query
from logcollector_handler.collector.store import Store
from tests.collector.storing import rows

BEFORE, UNTIL = Cursor(9.0, 3), Cursor(5.0, 2)
IDS: Sql = ("id", [])


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the file of `store`."""
    connection = sqlite3.connect(tmp_path / "logs.sqlite")
    matching.register(connection)
    yield connection
    connection.close()


def query(text: str, **more: str) -> Query:
    return parse_query([("q", text), *more.items()])


def steps(database: sqlite3.Connection, sql: Sql) -> list[str]:
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql[0]}", sql[1])]


def places(text: str, count: int = 1) -> Finds | None:
    found = finds(query(text).node, lambda *_: count)
    return None if found is None else found[1]


BY_TIME = "created_at>? AND created_at<?"


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("", f"logs_by_time ({BY_TIME})"),
        ("level>=WARN", f"logs_by_time ({BY_TIME})"),
        ("environment:prod", f"logs_by_time ({BY_TIME})"),
        ("environment:prod OR level:ERROR", f"logs_by_time ({BY_TIME})"),
        ("created_at>1", f"logs_by_time ({BY_TIME})"),
        ("level:ERROR", f"logs_by_level (level=? AND {BY_TIME})"),
        ("service:a", f"logs_by_service (service=? AND {BY_TIME})"),
        ("service:a level:ERROR", f"logs_by_service (service=? AND {BY_TIME})"),
        ("logger:a", f"logs_by_logger (logger=? AND {BY_TIME})"),
        ("logger:a level>=WARN", f"logs_by_logger (logger=? AND {BY_TIME})"),
        ("has:error_type", f"logs_by_error ({BY_TIME})"),
        ("error_type:DeclinedError", f"logs_by_error ({BY_TIME})"),
    ],
)
def test_a_step_reads_an_index_in_order_and_no_row(database: sqlite3.Connection, text: str, index: str) -> None:
    plan = Plan(query(text, since="1"))
    for sql in (plan.step(BEFORE, 10), plan.rows(IDS, BEFORE, UNTIL, newest_first(5))):
        assert steps(database, sql) == [f"SEARCH logs USING COVERING INDEX {index}"]


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("created_at>=5 created_at<8", [5, 6, 7]),
        ("created_at>5 created_at<=8 m", [6, 7, 8]),
        ("created_at:6", [6]),
        ("service:a created_at>1970-01-01T00:00:06Z created_at<8", [7]),
    ],
)
def test_times_in_the_language_bound_what_is_read(
    store: Store, database: sqlite3.Connection, text: str, matching: list[int]
) -> None:
    store.add(rows(*({"message": "m", "created_at": float(n), "service": "a"} for n in range(2000))))
    plan = Plan(query(text))
    (step,) = steps(database, plan.step(plan.begin, 10))
    assert step.endswith(f"{BY_TIME})")
    assert database.execute(*plan.step(plan.begin, 5)).fetchone() is None, "no more rows than match are looked at"
    found = database.execute(*plan.rows(("created_at", []), plan.begin, None, newest_first(9))).fetchall()
    assert [time for (time,) in found] == matching[::-1]


@pytest.mark.parametrize("text", ["card", "-card", "path:*x*", "amount>3", "duration_ms>3", "a OR service:b"])
def test_rows_are_compared_in_the_order_of_time_and_nothing_is_sorted(database: sqlite3.Connection, text: str) -> None:
    plan = Plan(query(text))
    assert steps(database, plan.step(BEFORE, 10)) == ["SEARCH logs USING COVERING INDEX logs_by_time (created_at<?)"]
    assert steps(database, plan.rows(IDS, BEFORE, UNTIL, newest_first(5))) == [
        f"SEARCH logs USING INDEX logs_by_time ({BY_TIME})"
    ]
    assert steps(database, plan.after("id", UNTIL, 5)) == ["SEARCH logs USING INDEX logs_by_time (created_at>?)"]


ID = "0af7651916cd43dd8448eb211c80319c"
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("card", [("logs_text", '"card" *'), ("logs_ids", '"card"'), ("logs_fields", '"card"')]),
        (
            UUID,
            [
                ("logs_text", f'"{UUID}" *'),
                ("logs_ids", f'"{UUID}"'),
                ("logs_ids", f'"{ID}"'),
                ("logs_fields", f'"{UUID}"'),
            ],
        ),
        (f"trace_id:{ID}", [("logs_ids", f'trace_id : "{ID}"')]),
        (f"-card user_id:{ID}", [("logs_ids", f'user_id : "{ID}"')]),
        ("user_id:a OR session_id:b", [("logs_ids", 'user_id : "a"'), ("logs_ids", 'session_id : "b"')]),
        ("request_id:r-7", [("logs_fields", '"request_id" AND "r-7"')]),
        ("status:500", [("logs_fields", '"status" AND ("500" OR "500.0")')]),
        ("order.total:7.50", [("logs_fields", '"total" AND ("7.50" OR "7.5")')]),
        ("id:12345678901234567890", [("logs_fields", '"id" AND ("12345678901234567890" OR "1.2345678901234567e19")')]),
        ("id:+1e16", [("logs_fields", '"id" AND ("+1e16" OR "1e16" OR "10000000000000000")')]),
        ("order.total>7", [("logs_fields", '"total"')]),
        ("order.path:/api/*", [("logs_fields", '"path" AND "/api/" *')]),
        ("order.path:/a*", [("logs_fields", '"path"')]),
        ("order.path:*api", [("logs_fields", '"path"')]),
        ("has:order.total", [("logs_fields", '"total"')]),
        ('"a key":"a\\"b"', [("logs_fields", '"a key" AND "a\\""b"')]),
        ("ca", None),
        ("*card", None),
        ("-card", None),
        ("%%", None),
        ("card OR path:/x", None),
        ("path:/x", None),
        ("duration_ms>3", None),
        ("service:a", None),
    ],
)
def test_what_is_rare_is_found_by_a_full_text_index(
    database: sqlite3.Connection, text: str, expected: Finds | None
) -> None:
    assert places(text) == expected
    if expected is None:
        return
    read = steps(database, Plan(query(text)).found(IDS, BEFORE, expected, newest_first(5)))
    assert read[0] == "SEARCH logs USING INTEGER PRIMARY KEY (rowid=?)"
    scans = [step for step in read if "SCAN" in step]
    assert [step.split()[1] for step in scans] == [index for index, _ in expected]
    for index, expression in expected:
        counted = steps(database, count_sql(index, expression, 5))
        assert any(step.startswith(f"SCAN {index} VIRTUAL TABLE INDEX") for step in counted)


@pytest.mark.parametrize("text", ["service:a", "level:ERROR", "logger:a level:ERROR", "has:error_type"])
def test_what_is_rare_is_found_by_it_whatever_else_has_an_index(database: sqlite3.Connection, text: str) -> None:
    plan = Plan(query(f"user_id:u {text}", since="1", until="2"))
    for what, end in ((IDS, newest_first(5)), (("level, count(*)", []), (" GROUP BY level", []))):
        read = steps(database, plan.found(what, BEFORE, [("logs_ids", 'user_id : "u"')], end))
        assert read[0] == "SEARCH logs USING INTEGER PRIMARY KEY (rowid=?)"


def test_what_is_common_is_not_looked_up() -> None:
    assert places("card", COMMON) is None
    assert places("card OR cash", COMMON // 2) is None
    assert finds(query("card cash").node, lambda _, expression: COMMON if "card" in expression else 1) == (
        3,
        [("logs_text", '"cash" *'), ("logs_ids", '"cash"'), ("logs_fields", '"cash"')],
    )


def test_of_several_conditions_the_rarest_is_looked_up() -> None:
    found = finds(query("user_id:a trace_id:b").node, lambda _, expression: 7 if "user" in expression else 3)
    assert found == (3, [("logs_ids", 'trace_id : "b"')])


@pytest.mark.parametrize("text", ["", "card", "service:a level:ERROR", f"trace_id:{ID}", "has:error_type"])
def test_arrivals_are_read_by_id_from_the_position_on(database: sqlite3.Connection, text: str) -> None:
    plan = Plan(query(text, since="1"))
    for newest in (False, True):
        assert steps(database, plan.arrivals(5, 9, 3, newest=newest)) == [
            "SEARCH logs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
        ]


def test_errors_are_grouped_from_an_index_alone(database: sqlite3.Connection) -> None:
    what: Sql = ("error_type, file_path, function_name, count(*), min(created_at), max(id)", [])
    read = steps(database, Plan(query("has:error_type")).rows(what, BEFORE, UNTIL, (" GROUP BY 1, 2, 3", [])))
    assert read == [f"SEARCH logs USING COVERING INDEX logs_by_error ({BY_TIME})", "USE TEMP B-TREE FOR GROUP BY"]


def test_groups_by_a_rare_key_are_found_by_a_full_text_index_and_others_read_in_steps(
    database: sqlite3.Connection,
) -> None:
    what: Sql = ("field_shown(metadata, ?), count(*)", ["order.id"])
    end: Sql = (" GROUP BY 1", [])
    plan = Plan(query("has:order.id"))
    expected = places("has:order.id")
    assert expected == [("logs_fields", '"id"')]
    assert (
        steps(database, plan.found(what, BEFORE, expected, end))[0] == "SEARCH logs USING INTEGER PRIMARY KEY (rowid=?)"
    )
    assert places("has:order.id", COMMON) is None
    assert steps(database, plan.rows(what, BEFORE, UNTIL, end)) == [
        f"SEARCH logs USING INDEX logs_by_time ({BY_TIME})",
        "USE TEMP B-TREE FOR GROUP BY",
    ]


@pytest.mark.parametrize("text", ["-x", "service:a -x", "level:INFO -x", "level>=INFO"])
def test_a_step_costs_as_much_as_it_has_rows_wherever_it_is(
    store: Store, database: sqlite3.Connection, text: str
) -> None:
    """Counted in instructions of SQLite, beside a bound in time that all rows are behind."""
    store.add(rows(*({"message": "m", "created_at": float(n), "service": "a"} for n in range(1, 4000))))
    instructions = 0

    def count() -> None:
        nonlocal instructions
        instructions += 100

    database.set_progress_handler(count, 100)
    plan = Plan(query(text, since="0.5", until="9000"))
    before, until = Cursor(3000.0, 3000), Cursor(2990.0, 2990)
    found = database.execute(*plan.rows(IDS, before, until, newest_first(-1))).fetchall()
    assert found == [(number,) for number in range(2999, 2989, -1)]
    assert database.execute(*plan.step(before, 10)).fetchall() == [(2990.0, 2990)]
    assert len(database.execute(*plan.after("id", before, 10)).fetchall()) == 10
    assert instructions < 3000


def test_nothing_that_people_write_becomes_a_part_of_the_sql() -> None:
    sql, values = conditions.condition(query('"x\') OR 1=1 --":"\'; DROP TABLE logs" "\') --" service:"\'"').node)
    assert "'" not in sql
    assert "--" not in sql
    assert len(values) == sql.count("?")
