"""What a query matches: the compiled query beside a plain evaluation of the same tree, entry by entry."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logcollector_handler.collector import conditions, scan
from logcollector_handler.collector.language import parse
from logcollector_handler.collector.query import Query, parse_query
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import RefusedError
from tests.collector.meaning import ENTRIES, QUERIES, evaluated
from tests.collector.storing import messages, rows


@pytest.mark.parametrize("common", [0, conditions.COMMON], ids=["row by row", "by index"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRIES, min_size=1, max_size=6), text=QUERIES)
def test_a_query_matches_what_its_words_say(
    store: Store, common: int, entries: list[dict[str, Any]], text: str
) -> None:
    store.clear()
    for number, entry in enumerate(entries):
        entry["created_at"] = float(number)
    store.add(rows(*entries))
    node = parse(text, 0.0)
    expected = [entry["created_at"] for entry in reversed(entries) if evaluated(node, entry)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "COMMON", common)
        patch.setattr(scan, "STEPS", (1, 2))
        patch.setattr(scan, "GLANCE", 0)
        found = store.page(Query(where=node)).entries
        counts = store.histogram(Query(where=node, since=0.0, until=9.0), 3).counts
    assert [entry["created_at"] for entry in found] == expected
    assert sum(map(sum, counts.values())) == len(expected)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="ab -()\"\\*:=<>!.ORé\n%_'{}^+½🫠\u0301;,", max_size=25))
def test_whatever_is_understood_is_answered(store: Store, text: str) -> None:
    """No sign of it means anything to SQLite or to its full-text search."""
    store.add(rows({"message": "a card é", "metadata": {"a": {"b": [1, "x"]}}}))
    try:
        query = parse_query([("q", text)])
    except RefusedError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "GLANCE", 0)
        store.page(query)
        store.histogram(query, 3)
        store.arrivals(query, 0, newest=True)


ID, UUID = "0af7651916cd43dd8448eb211c80319c", "0af76519-16cd-43dd-8448-eb211c80319c"


BOTH_WAYS = pytest.mark.parametrize("glance", [0, 10**9], ids=["by index", "row by row"])


@BOTH_WAYS
@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        (ID, "trace"),
        (UUID, "trace"),
        (UUID.upper(), "trace"),
        (f'"{UUID}"', "trace"),
        ("user-7", "user"),
        ('"s 7"', "session"),
        ("req/9", "request"),
        ("4711", "deep"),
    ],
)
def test_an_id_is_found_when_it_is_pasted(
    store: Store, monkeypatch: pytest.MonkeyPatch, pasted: str, expected: str, glance: int
) -> None:
    monkeypatch.setattr(scan, "GLANCE", glance)
    store.add(
        rows(
            {"message": "trace", "trace_id": ID},
            {"message": "user", "user_id": "user-7"},
            {"message": "session", "session_id": "s 7"},
            {"message": "request", "metadata": {"request_id": "req/9"}},
            {"message": "deep", "metadata": {"order": {"items": [{"number": 4711}]}}},
            {"message": "nothing"},
        )
    )
    assert messages(store.page(parse_query([("q", pasted)])).entries) == [expected]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration_ms>5", ["full"]),
        ("-duration_ms>5", ["bare", "other"]),
        ("-duration_ms<=5", ["bare", "full"]),
        ("service!=shop", ["bare", "other"]),
        ("-service:*op", ["bare", "other"]),
        ("-user_id:u1", ["bare", "other"]),
        ("-u1", ["bare", "other"]),
        ("-has:user_id", ["bare"]),
        ("-error_type:E1 -has:a", ["bare", "other"]),
        ("http.status:500", ["full"]),
        ("http.status:404", ["other"]),
        ("a.b.c:1 OR a.b.c:2", ["other", "full"]),
        ("a.b.c>=2", ["other"]),
        ("-a.b.c>=2", ["bare", "full"]),
        ("tags:red", ["full"]),
        ("tags:red -tags:blue", []),
        ("items.name:x", ["full"]),
        ("ok:true", ["full"]),
        ("ok:false OR nothing:null", ["other", "full"]),
        ("has:nothing", []),
        ('path:"/a*"', ["other"]),
        ("path:/a*", ["other", "full"]),
        ("level>info", ["full"]),
        ("level<=info", ["bare", "other"]),
        ("level!=ERROR (service:shop OR service:mail)", ["other"]),
    ],
)
def test_a_condition_finds_exactly_its_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str], glance: int
) -> None:
    monkeypatch.setattr(scan, "GLANCE", glance)
    full = {"duration_ms": 7.5, "service": "shop", "user_id": "u1", "error_type": "E1", "path": "/ab", "level": "ERROR"}
    other = {"duration_ms": 5.0, "service": "mail", "user_id": "u2", "error_type": "E2", "path": "/a*"}
    nested = {"http": {"status": 500}, "a": {"b.c": 1}, "tags": ["red", "blue"], "items": [{"name": "x"}]}
    flat = {"http.status": 404, "a.b": {"c": 2}, "ok": False}
    store.add(
        rows(
            {"message": "full", **full, "metadata": {**nested, "ok": True, "nothing": None}},
            {"message": "other", **other, "metadata": flat},
            {"message": "bare"},
        )
    )
    assert messages(store.page(parse_query([("q", text)])).entries) == expected


@BOTH_WAYS
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id:1234567890123456789", ["odd", "text"]),
        ("id:1234567890123456768", ["even"]),
        ("id:1234567890123456768.0", ["even"]),
        ("id>1234567890123456788", ["longer", "odd"]),
        ("id<1234567890123456789", ["float", "even"]),
        ("id:12345678901234567890", ["longer"]),
        ("id!=1234567890123456789", ["float", "longer", "even"]),
        ("id>1" + "0" * 300, []),
        ("1234567890123456789", ["odd", "text"]),
        # So does JavaScript write the float, which has the digits 44563700366594752.
        ("id:44563700366594750", ["float"]),
        ("id:44563700366594752", ["float"]),
        ("id:44563700366594760", []),
    ],
)
def test_an_id_of_many_digits_is_no_other_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str], glance: int
) -> None:
    """As floats some of them are the same."""
    monkeypatch.setattr(scan, "GLANCE", glance)
    ids = {"text": "1234567890123456789", "even": 1234567890123456768, "odd": 1234567890123456789}
    ids |= {"longer": 12345678901234567890, "float": 4.456370036659475e16}
    store.add(rows(*({"message": name, "metadata": {"id": value}} for name, value in ids.items())))
    assert messages(store.page(parse_query([("q", text)])).entries) == expected


def test_every_row_is_compared_once_however_the_steps_fall(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(rows(*({"message": f"m{n}", "created_at": float(n % 7), "duration_ms": float(n)} for n in range(100))))
    for first, largest, limit in itertools.product((1, 3, 100), (4, 100), (1, 7, 100)):
        monkeypatch.setattr(scan, "STEPS", (first, largest))
        asked = [("q", "duration_ms>=30"), ("limit", str(limit))]
        page = store.page(parse_query(asked))
        entries = page.entries
        while page.next is not None:
            page = store.page(parse_query([*asked, ("cursor", str(page.next))]))
            entries += page.entries
        wanted = sorted(range(30, 100), key=lambda n: (n % 7, n), reverse=True)
        assert [entry["duration_ms"] for entry in entries] == wanted
