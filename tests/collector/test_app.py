"""The endpoints that answer questions: the page, queries, statistics and errors, also while a query is slow.

Without sockets; tests with those are in `test_server`, and the tests of `POST /logs` in `test_app_posts`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.reading import Page
from logcollector_handler.collector.scan import Budget
from logcollector_handler.collector.static import NAMES
from logcollector_handler.collector.store import Store
from logcollector_handler.collector.tree import NAMED
from logcollector_handler.entry.model import LEVELS
from tests.collector.app_client import AppClient, ClientOf


def test_the_root_answers_the_name_of_the_service(client: AppClient) -> None:
    assert client.get("/").json() == {"status": "ok", "service": "log-server"}


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
        "IDS": ["trace_id", "user_id", "session_id"],
        "FIELDS": list(NAMED),
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
        "looked_to": None,
    }
    assert client.get("/logs", service="web%").json() == {"logs": [], "next": None, "looked_to": None}


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


class SlowToRead(Store):
    """A store whose queries wait until the test lets them continue."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def page(self, query: Query, budget: Budget | None = None, *, most: int | None = None) -> Page:
        self.asked.set()
        assert self.go_on.wait(60)
        return super().page(query, budget, most=most)


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
