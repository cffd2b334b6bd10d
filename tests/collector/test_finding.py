"""The endpoints that find logs: queries, neighbours, counts by fields, and answers that ran out of time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from logcollector_handler.collector import groups, reading, scan
from logcollector_handler.collector.query import Cursor, Query, parse_groups
from logcollector_handler.collector.scan import Budget, StoppedError
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient
from tests.collector.storing import messages, rows


def test_a_query_is_answered_with_what_it_matches(client: AppClient) -> None:
    client.post({"message": "card declined", "metadata": {"amount": 70}}, {"message": "card taken"}, {"message": "x"})
    assert messages(client.get("/logs", q="card").json()["logs"]) == ["card taken", "card declined"]
    assert messages(client.get("/logs", q="card amount>50").json()["logs"]) == ["card declined"]
    assert messages(client.get("/logs", q="  ").json()["logs"]) == ["x", "card taken", "card declined"]
    assert client.get("/logs", q="card").json()["looked_to"] is None


@pytest.mark.parametrize("path", ["", "/1", "/histogram", "/groups", "/export", "/stream"])
def test_a_wrong_query_is_answered_with_what_is_wrong_and_where(client: AppClient, path: str) -> None:
    more = {"by": "service"} if path == "/groups" else {}
    answer = client.get("/logs" + path, q="card level:loud", **more)
    assert answer.status_code == 400
    assert answer.json() == {
        "status": "error",
        "error": "q: 'loud' is no level; there are TRACE, DEBUG, INFO, WARN, ERROR, FATAL (character 12).",
        "position": 11,
    }


@pytest.mark.parametrize(("since", "until", "expected"), [("-1h", "", 1), ("", "-1h", 1), ("1970-01-01", "-1h", 1)])
def test_bounds_are_times_as_people_write_them(client: AppClient, since: str, until: str, expected: int) -> None:
    client.post({"message": "old", "created_at": 86_400.0 * 3}, {"message": "new"})
    found = messages(client.get("/logs", since=since, until=until).json()["logs"])
    assert found == (["new"] if since == "-1h" else ["old"])
    counts = client.get("/logs/histogram", since=since, until=until, buckets=1).json()["counts"]
    assert counts == {"INFO": [expected]}


@pytest.mark.parametrize("time", ["yesterday", "-1y", "2026-13-01", "1e400", "nan", "--1h", "1700000000000"])
def test_a_wrong_time_is_refused(client: AppClient, time: str) -> None:
    answer = client.get("/logs", since=time)
    assert answer.status_code == 400
    assert "since" in answer.json()["error"]
    assert "-1h" in answer.json()["error"]


def test_a_trace_is_found_whatever_its_age(client: AppClient) -> None:
    client.post({"message": "old", "created_at": 5.0, "trace_id": "abc"}, *({"message": "new"} for _ in range(50)))
    for asked in ({"trace_id": "abc"}, {"q": "abc"}, {"q": "trace_id:abc"}):
        assert messages(client.get("/logs", **asked).json()["logs"]) == ["old"]


def test_an_entry_has_a_link_with_the_lines_around_it(client: AppClient) -> None:
    client.post(*({"message": str(n), "created_at": float(n // 2), "service": "ab"[n % 3 == 0]} for n in range(20)))
    found = client.get("/logs/11", around=2).json()
    assert found["log"]["message"] == "10"
    assert (messages(found["newer"]), messages(found["older"])) == (["12", "11"], ["9", "8"])
    found = client.get("/logs/11", around=2, q="service:b").json()
    assert found["log"]["message"] == "10"
    assert (messages(found["newer"]), messages(found["older"])) == (["15", "12"], ["9", "6"])
    assert client.get("/logs/1").json()["older"] == []
    assert client.get("/logs/20").json()["newer"] == []


@pytest.mark.parametrize("row", ["21", "0", "9" * 30])
def test_an_entry_that_is_not_there_is_answered_404(client: AppClient, row: str) -> None:
    assert client.get(f"/logs/{row}").status_code == 404


ERRORS: list[dict[str, Any]] = [
    {"message": "no", "created_at": 10.0, "error_type": "Declined", "file_path": "pay.py", "function_name": "pay"},
    {"message": "no", "created_at": 11.5, "error_type": "Declined", "file_path": "pay.py", "function_name": "pay"},
    {"message": "no", "created_at": 12.0, "error_type": "Declined", "file_path": "refund.py", "function_name": "back"},
    {"message": "no", "created_at": 13.0, "error_type": "Timeout", "metadata": {"order": {"id": 7}}},
    {"message": "yes", "created_at": 14.0, "metadata": {"order": {"id": "seven"}}},
]


def test_errors_are_grouped_by_their_kind_and_place(client: AppClient) -> None:
    client.post(*ERRORS)
    asked: dict[str, Any] = {"by": "error_type,file_path,function_name", "since": 10, "until": 14, "buckets": 4}
    found = client.get("/logs/groups", **asked).json()
    assert found == {
        "since": 10.0,
        "width": 1.0,
        "groups": [
            {
                "values": ["Declined", "pay.py", "pay"],
                "count": 2,
                "first": 10.0,
                "last": 11.5,
                "last_id": 2,
                "counts": [1, 1, 0, 0],
            },
            {
                "values": ["Timeout", None, None],
                "count": 1,
                "first": 13.0,
                "last": 13.0,
                "last_id": 4,
                "counts": [0, 0, 0, 1],
            },
            {
                "values": ["Declined", "refund.py", "back"],
                "count": 1,
                "first": 12.0,
                "last": 12.0,
                "last_id": 3,
                "counts": [0, 0, 1, 0],
            },
        ],
        "others": 0,
        "at_least": False,
        "next": None,
        "looked_to": None,
    }


@pytest.mark.parametrize(
    ("by", "q", "expected"),
    [
        ("level", "", {"INFO": 5}),
        ("error_type", "", {"Declined": 3, "Timeout": 1}),
        ("order.id", "", {"7": 1, "seven": 1}),
        ("metadata.order.id", "yes", {"seven": 1}),
        ("message", "-has:error_type", {"yes": 1}),
        ("nothing", "", {}),
        ("created_at", "yes", {"14.0": 1}),
    ],
)
def test_logs_are_counted_by_any_field(client: AppClient, by: str, q: str, expected: dict[str, int]) -> None:
    client.post(*ERRORS)
    found = client.get("/logs/groups", by=by, q=q).json()["groups"]
    assert {group["values"][0]: group["count"] for group in found} == expected


@pytest.mark.parametrize(
    ("by", "values"),
    [
        ('"a, b"', ["1"]),
        ('level, "a, b" ,"say \\"x\\""', ["INFO", "1", "2"]),
        ('"back\\\\slash"', ["3"]),
        ('"level",plain', ["INFO", "4"]),
        ('"open', ["5"]),
        ('in"side', ["6"]),
    ],
)
def test_fields_with_any_name_can_be_grouped_by_and_exported(client: AppClient, by: str, values: list[str]) -> None:
    keys = {"a, b": "1", 'say "x"': "2", "back\\slash": "3", "plain": "4", '"open': "5", 'in"side': "6"}
    client.post({"message": "m", "metadata": keys})
    assert [group["values"] for group in client.get("/logs/groups", by=by).json()["groups"]] == [values]
    assert list(json.loads(client.get("/logs/export", columns=by).text).values()) == values


def test_the_largest_groups_come_first_and_the_others_are_counted(
    client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(*({"message": "m", "service": f"s{n % 10}"} for n in range(55)))
    found = client.get("/logs/groups", by="service", limit=5).json()
    assert [group["count"] for group in found["groups"]] == [6] * 5
    assert found["others"] == 25
    monkeypatch.setattr(groups, "MAX_GROUPS", 3)
    found = client.get("/logs/groups", by="service").json()
    assert [group["count"] for group in found["groups"]] == [6, 5]
    assert sum(group["count"] for group in found["groups"]) + found["others"] == 55


def test_a_large_group_is_found_behind_more_small_ones_than_are_counted_at_the_same_time(
    client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MAX_GROUPS", 10)
    client.post(*({"message": "the disk is full", "created_at": n} for n in range(50)))
    client.post(*({"message": f"order {n} paid", "created_at": 100 + n} for n in range(100)))
    found = client.get("/logs/groups", by="message", limit=3).json()
    assert (found["groups"][0]["values"], found["groups"][0]["count"]) == (["the disk is full"], 50)
    assert (len(found["groups"]), found["others"], found["at_least"]) == (3, 98, True)
    assert client.get("/logs/groups", by="level").json()["at_least"] is False


def test_the_newest_entry_is_counted_also_beside_one_without_a_clock(client: AppClient) -> None:
    client.post({"message": "no clock", "created_at": 0.0}, {"message": "new", "created_at": 1854571053.3540158})
    for buckets in 90, 100:
        assert sum(client.get("/logs/histogram", buckets=buckets).json()["counts"]["INFO"]) == 2


@pytest.mark.parametrize("by", ["", "a,", "a,a", "a,b,c,d,e", "metadata"])
def test_groups_by_what_is_no_list_of_fields_are_refused(client: AppClient, by: str) -> None:
    answer = client.get("/logs/groups", by=by)
    assert answer.status_code == 400
    assert "by" in answer.json()["error"]


def test_a_query_out_of_time_says_how_far_it_has_looked_and_continues(
    client: AppClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(rows(*({"message": f"m{n}", "created_at": float(n), "duration_ms": n % 50} for n in range(1000))))
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    asked: dict[str, Any] = {"q": "duration_ms:1"}
    page = client.get("/logs", **asked).json()
    assert page["looked_to"] == 750.0
    assert [entry["created_at"] for entry in page["logs"]] == [951.0, 901.0, 851.0, 801.0, 751.0]
    histogram = client.get("/logs/histogram", since=0, until=1000, buckets=2, **asked).json()
    grouped = client.get("/logs/groups", since=0, until=1000, by="level", **asked).json()
    assert (histogram["counts"], histogram["looked_to"]) == ({"INFO": [0, 5]}, 750.0)
    assert (grouped["groups"][0]["count"], grouped["looked_to"]) == (5, 750.0)
    found = [len(page["logs"]), sum(histogram["counts"]["INFO"]), grouped["groups"][0]["count"]]
    while page["next"] is not None:
        page = client.get("/logs", cursor=page["next"], **asked).json()
        histogram = client.get("/logs/histogram", cursor=histogram["next"], since=0, until=1000, **asked).json()
        grouped = client.get("/logs/groups", cursor=grouped["next"], since=0, until=1000, by="level", **asked).json()
        found[0] += len(page["logs"])
        found[1] += sum(histogram["counts"].get("INFO", []))
        found[2] += sum(group["count"] for group in grouped["groups"])
    assert (page["looked_to"], histogram["next"], grouped["next"]) == (None, None, None)
    assert found == [20, 20, 20]


def test_groups_by_a_key_of_metadata_are_counted_as_far_as_the_time_lasts(
    client: AppClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(
        rows(*({"message": "m", "created_at": float(n), "metadata": {"order": {"id": n % 7}}} for n in range(1000)))
    )
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    asked: dict[str, Any] = {"since": 0, "until": 1000, "by": "order.id"}
    counted: Counter[str] = Counter()
    looked_to: list[float | None] = []
    cursor: str | None = ""
    while cursor is not None:
        found = client.get("/logs/groups", **asked, cursor=cursor).json()
        counted.update({group["values"][0]: group["count"] for group in found["groups"]})
        looked_to.append(found["looked_to"])
        cursor = found["next"]
    assert looked_to == [750.0, 500.0, 250.0, 0.0, None]
    assert counted == {str(n): len(range(n, 1000, 7)) for n in range(7)}


def test_nobody_is_told_of_groups_once_the_client_has_gone(store: Store) -> None:
    store.add(rows(*({"message": "m", "metadata": {"n": n}} for n in range(3000))))
    looks = iter([False, False])
    grouping = parse_groups([("by", "n")])
    with pytest.raises(StoppedError):
        store.read(lambda reader: reading.groups(reader, grouping, Budget(lambda: next(looks, True))))
    found = store.read(lambda reader: reading.groups(reader, grouping, Budget()))
    assert sum(group.count for group in found.groups) + found.others == 3000, "the next one is answered"


def test_no_step_begins_after_the_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(rows(*({"message": "m", "created_at": float(n)} for n in range(10))))
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    monkeypatch.setattr(scan, "STEPS", (1, 1))
    page = store.page(Query(text="nothing"))
    assert (page.looked_to, page.next) == (9.0, Cursor(9.0, 10))


def test_a_text_that_every_row_has_is_answered_without_an_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(rows(*({"message": f"payment {n}", "created_at": float(n)} for n in range(500))))

    def never(*_: object) -> None:
        raise AssertionError("an index was asked")

    monkeypatch.setattr(scan, "finds", never)
    page = store.page(Query(text="payment"))
    assert (len(page.entries), page.looked_to) == (100, None)


def test_nobody_is_answered_once_the_client_has_gone(store: Store) -> None:
    store.add(rows(*({"message": "m"} for _ in range(3000))))
    looks = iter([False, False])
    budget = Budget(lambda: next(looks, True))
    with pytest.raises(StoppedError):
        store.page(Query(text="nothing"), budget)
    assert len(store.page(Query()).entries) == 100, "the next one is answered"


def test_a_long_statement_is_interrupted_when_the_time_is_over(store: Store) -> None:
    store.add(rows(*({"message": "m"} for _ in range(3000))))
    times = iter([0.0, 0.0, 0.0])
    budget = Budget(clock=lambda: next(times, 100.0))
    page = store.page(Query(text="nothing"), budget)
    assert page.entries == []
    assert page.next is not None


def test_a_stream_looks_at_a_few_rows_at_once_and_says_whether_that_were_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS", 10)
    store.add(rows(*({"message": f"m{n}"} for n in range(25))))
    seen = [store.arrivals(Query(text="m17"), position) for position in (0, 10, 20, 25)]
    assert [(messages(each.entries), each.position, each.is_last) for each in seen] == [
        ([], 10, False),
        (["m17"], 20, False),
        ([], 25, True),
        ([], 25, True),
    ]
