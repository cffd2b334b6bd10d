"""The endpoints: which request gets which answer. Without sockets; tests with those are in `test_server`."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from starlette.applications import Starlette

from logcollector_handler.collector.app import MAX_KEY, ReceivedRequest, create_app
from logcollector_handler.collector.body import Limits
from logcollector_handler.collector.entries import Row
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.reading import Page
from logcollector_handler.collector.static import NAMES
from logcollector_handler.collector.store import Added, Store
from logcollector_handler.entry.model import ENVIRONMENTS, LEVELS
from tests.collector.app_client import AppClient

ClientOf: TypeAlias = Callable[[Starlette], AppClient]


def body(*messages: str) -> bytes:
    return json.dumps({"logs": [{"message": message} for message in messages]}).encode()


def test_the_root_answers_the_name_of_the_service(client: AppClient) -> None:
    assert client.get("/").json() == {"status": "ok", "service": "log-server"}


def test_a_batch_is_stored_and_counted(client: AppClient, store: Store) -> None:
    answer = client.post({"message": "a"}, {"message": "b"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "count": 2})
    assert answer.headers["content-type"] == "application/json"
    assert store.count() == 2


def test_an_empty_batch_is_accepted(client: AppClient) -> None:
    assert client.post().json() == {"status": "ok", "count": 0}


def test_a_compressed_batch_is_stored(client: AppClient, store: Store) -> None:
    assert client.post_bytes(gzip.compress(body("a")), content_encoding="gzip").status_code == 200
    assert store.count() == 1


def test_an_invalid_entry_is_answered_422_with_its_index_and_nothing_is_stored(client: AppClient, store: Store) -> None:
    answer = client.post({"message": "good"}, {"message": "bad", "level": "WARNING"}, key="key")
    assert answer.status_code == 422
    assert answer.json() == {
        "status": "error",
        "error": "Entry 1 is refused: level: Invalid enum value 'WARNING' "
        "(allowed: TRACE, DEBUG, INFO, WARN, ERROR, FATAL).",
        "index": 1,
    }
    assert store.count() == 0
    assert client.post({"message": "good"}, key="key").json()["count"] == 1, "the key is still free"


def test_a_strict_collector_answers_500_to_the_whole_batch(strict_client: AppClient, store: Store) -> None:
    answer = strict_client.post({"message": "good"}, {"message": "bad", "level": "WARNING"})
    assert answer.status_code == 500
    assert answer.json()["status"] == "error"
    assert store.count() == 0


def test_a_repeated_key_answers_the_first_count_and_stores_nothing(client: AppClient, store: Store) -> None:
    """A client whose answer was lost sends the batch again."""
    answers = [client.post({"message": "a"}, {"message": "b"}, key="key") for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"status": "ok", "count": 2}] * 3
    assert store.count() == 2


def test_two_posts_of_one_key_at_the_same_time_are_stored_once(client: AppClient, store: Store) -> None:
    batch = [{"message": f"{number}"} for number in range(500)]
    answers = client.post_together(*[batch] * 6, key="key")
    assert [answer.json()["count"] for answer in answers] == [500] * 6
    assert store.count() == 500


def test_an_empty_key_counts_as_none(client: AppClient, store: Store) -> None:
    for _ in range(2):
        client.post({"message": "a"}, key="")
    assert store.count() == 2


def test_a_key_that_is_too_long_is_refused(client: AppClient) -> None:
    assert client.post({"message": "a"}, key="k" * MAX_KEY).status_code == 200
    answer = client.post({"message": "a"}, key="k" * (MAX_KEY + 1))
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]


@pytest.mark.parametrize(
    ("status", "content", "encoding"),
    [
        (400, b"{", ""),
        (400, b'{"entries": []}', ""),
        (400, b"no gzip", "gzip"),
        (413, body("x" * 100), ""),
        (413, gzip.compress(body("x" * 1000)), "gzip"),
        (413, body("a", "b", "c"), ""),
        (415, body("a"), "br"),
    ],
)
def test_a_body_that_is_not_accepted_is_answered_with_a_status_and_a_reason(
    store: Store, client_of: ClientOf, status: int, content: bytes, encoding: str
) -> None:
    limits = Limits(body_bytes=100, decompressed_bytes=500, batch_length=2)
    client = client_of(create_app(store, limits=limits))
    answer = client.post_bytes(content, content_encoding=encoding)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert store.count() == 0
    assert client.post({"message": "fine"}).status_code == 200


def test_a_body_that_exceeds_the_memory_for_all_bodies_is_answered_503(store: Store, client_of: ClientOf) -> None:
    client = client_of(create_app(store, limits=Limits(held_bytes=1000)))
    for _ in range(3):
        assert client.post_bytes(body("x" * 500)).status_code == 200, "each is forgotten again"
        assert client.post_bytes(body("x" * 1000)).status_code == 503
    assert store.count() == 3


@pytest.mark.parametrize("part", ["{},", "[],", "0.1,", '"",'])
def test_a_small_body_with_millions_of_values_is_refused_before_it_is_parsed(client: AppClient, part: str) -> None:
    bomb = gzip.compress(b'{"logs": [' + part.encode() * 5_000_000 + b"0]}")
    assert len(bomb) < 100_000
    answer = client.post_bytes(bomb, content_encoding="gzip")
    assert answer.status_code == 413
    assert "values" in answer.json()["error"]


def test_a_body_as_large_as_the_limit_is_accepted(store: Store, client_of: ClientOf) -> None:
    content = body("x" * 100)
    client = client_of(create_app(store, limits=Limits(body_bytes=len(content))))
    assert client.post_bytes(content).status_code == 200
    assert client.post_bytes(content + b" ").status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/..\\app.py",
        "/page/main.js%00",
        "/page/",
        "/page/page",
    ],
)
def test_only_the_files_of_the_page_are_served(client: AppClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["status"] == "error"


def test_a_browser_gets_the_page_and_any_other_client_gets_json(client: AppClient) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = client.get_with("/", accept=browser)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    allowed = {source for rule in policy.split("; ") for source in rule.split()[1:]}
    assert allowed == {"'none'", "'self'", "'script'"}, "nothing inline, nothing from elsewhere"
    for accept in ("*/*", "application/json", ""):
        assert client.get_with("/", accept=accept).json() == {"status": "ok", "service": "log-server"}


def test_every_file_that_the_page_names_is_served(client: AppClient) -> None:
    """And it names no file of another server: the page works without the internet."""
    texts = {name: client.get(f"/page/{name}").text for name in NAMES}
    assert all(texts.values())
    named = set(re.findall(r'(?:href|src)="page/([^"]+)"', texts["index.html"]))
    for name, text in texts.items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([^"]+)"', text))
        assert not re.search(
            r"(?:src|href)=\"?(?:https?:)?//|\burl\(|@import|innerHTML|outerHTML|insertAdjacent|eval\(", text
        )
    assert named | {"index.html"} == NAMES


def test_the_page_gets_the_names_that_it_shares_with_the_handler_from_the_server(client: AppClient) -> None:
    answer = client.get("/page/model.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    constants = dict(re.findall(r"^export const (\w+) = (.*);$", answer.text, re.MULTILINE))
    assert {name: json.loads(value) for name, value in constants.items()} == {
        "LEVELS": list(LEVELS),
        "ENVIRONMENTS": list(ENVIRONMENTS),
        "IDS": ["trace_id", "user_id", "session_id"],
    }


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/logs", 405)])
def test_every_error_is_json(client: AppClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["status"] == "error"


def test_a_wrong_method_is_answered_with_the_allowed_ones(client: AppClient) -> None:
    allowed = client.request("PUT", "/logs").headers["allow"]
    assert {"GET", "POST"} <= set(allowed.split(", "))


def test_statistics_have_the_field_names_of_the_real_server(client: AppClient) -> None:
    client.post({"message": "a", "level": "ERROR", "service": "web"})
    assert client.get("/stats").json() == {
        "total_logs": 1,
        "level_distribution": [{"level": "ERROR", "count": 1}],
        "service_distribution": [{"service": "web", "count": 1}],
        "recent_errors_1h": 1,
    }


def test_a_query_returns_only_the_logs_that_match_its_filters(client: AppClient) -> None:
    client.post(
        {"message": "one", "created_at": 1, "service": "web", "metadata": {"a": [1]}},
        {"message": "two", "created_at": 2, "service": "db"},
    )
    assert client.get("/logs", service="web", text="ON", since=0.5).json() == {
        "logs": [
            {
                "id": 1,
                "level": "INFO",
                "message": "one",
                "created_at": 1.0,
                "log_type": "BACKEND",
                "service": "web",
                "metadata": {"a": [1]},
            }
        ],
        "next": None,
    }
    assert client.get("/logs", service="web%").json() == {"logs": [], "next": None}


def test_the_cursor_in_an_answer_leads_to_the_next_page(client: AppClient) -> None:
    client.post(*({"message": f"{number}", "created_at": number / 3} for number in range(25)))
    seen: list[str] = []
    page = client.get("/logs", limit=10).json()
    seen += [log["message"] for log in page["logs"]]
    while page["next"]:
        page = client.get("/logs", limit=10, cursor=page["next"]).json()
        seen += [log["message"] for log in page["logs"]]
    assert seen == [f"{number}" for number in range(24, -1, -1)]


@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "level=LOUD", "servcie=web", "text=%00", "text=a&text=b"])
def test_a_bad_parameter_is_answered_400_and_named(client: AppClient, query: str) -> None:
    answer = client.get(f"/logs?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]


def test_the_observer_is_called_with_every_post_and_its_outcome(store: Store, client_of: ClientOf) -> None:
    seen: list[ReceivedRequest] = []
    client = client_of(create_app(store, strict=True, observer=seen.append))
    content = gzip.compress(b'{"logs": [{"message": "a", "order": 1}]}')
    for _ in range(2):
        client.post_bytes(content, content_encoding="gzip", idempotency_key="key", x_test="1")
    client.post({"message": "a", "level": "LOUD"})
    client.get("/logs")
    first, again, refused = seen
    assert (first.key, first.body_size, first.content_encoding) == ("key", len(content), "gzip")
    assert (first.status, first.count, first.repeated) == (200, 1, False)
    assert first.ignored_keys == {"order"}
    assert first.headers["x-test"] == "1"
    assert (again.status, again.count, again.repeated) == (200, 1, True)
    assert (refused.status, refused.count, refused.key) == (500, 0, None)


class FullDisk(Store):
    """A store on a disk that is full."""

    def add(self, rows: Sequence[Row], key: str | None = None) -> Added:
        raise sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_is_answered_503_so_that_the_client_keeps_its_batch(tmp_path: Path, client_of: ClientOf) -> None:
    store = FullDisk(tmp_path / "logs.sqlite")
    answer = client_of(create_app(store)).post({"message": "a"})
    assert answer.status_code == 503
    assert "database or disk is full" in answer.json()["error"]
    store.close()


class SlowToRead(Store):
    """A store whose queries wait until the test lets them continue."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def page(self, query: Query) -> Page:
        self.asked.set()
        assert self.go_on.wait(60)
        return super().page(query)


@contextmanager
def slow_store(path: Path) -> Iterator[SlowToRead]:
    store = SlowToRead(path)
    yield store
    store.close()


def test_a_slow_query_does_not_delay_other_requests(tmp_path: Path, client_of: ClientOf) -> None:
    with slow_store(tmp_path / "logs.sqlite") as store:
        client = client_of(create_app(store))
        slow = client.begin_get("/logs")
        client.until(store.asked)
        assert client.get("/stats").json()["total_logs"] == 0
        assert client.get("/").status_code == 200
        assert not slow.done()
        store.go_on.set()
        assert client.end(slow).status_code == 200
        client.close()


def test_a_batch_is_stored_while_every_reader_runs_a_slow_query(tmp_path: Path, client_of: ClientOf) -> None:
    with slow_store(tmp_path / "logs.sqlite") as store:
        client = client_of(create_app(store))
        slow = [client.begin_get("/logs") for _ in range(100)]
        client.until(store.asked)
        assert client.post({"message": "a"}).status_code == 200
        assert not any(query.done() for query in slow)
        store.go_on.set()
        assert [client.end(query).status_code for query in slow] == [200] * 100
        client.close()
