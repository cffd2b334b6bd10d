"""What pages post arrives as entries of the handler: whose they are, what the server adds, and what is refused."""

from __future__ import annotations

import gzip
import json
import logging
import time
from typing import Any

import pytest

from logcollector_handler import bind_context, clear_context
from logcollector_handler.integrations.browser import BrowserRelay, WsgiBrowserRelay
from tests.capturing import fields
from tests.entry.making import ORIGIN
from tests.integrations.browser.sites import PAGE, Site, asgi_send, wsgi_send

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "00f067aa0ba902b7a3ce929d0e0e4736"


def test_an_entry_arrives_with_everything_that_the_page_says(site: Site) -> None:
    entry = {
        "level": "ERROR",
        "message": "100 % broken %s",
        "created_at": 1795723958.25,
        "log_type": "MOBILE",
        "service_version": "web-3",
        "trace_id": TRACE,
        "user_id": "u1",
        "session_id": "s1",
        "error_type": "TypeError",
        "function_name": "pay",
        "file_path": "https://shop.example/app.js",
        "stack_trace": "TypeError: x\n    at pay (app.js:7:3)",
        "path": "/checkout",
        "method": "GET",
        "action_type": "click",
        "duration_ms": 4.5,
        "metadata": {"logger": "checkout", "line": 7, "cart": {"items": [1, None]}},
    }
    answer = site.post(entry)
    assert (answer.status, answer.said) == (200, {"status": "ok", "count": 1})
    (arrived,) = site.entries
    assert arrived == {
        **entry,
        "service": "shop",
        "environment": "production",
        "metadata": {
            "logger": "checkout",
            "line": 7,
            "process": None,
            "thread": None,
            "client_address": "203.0.113.5",
            "user_agent": "Mozilla/5.0",
            "cart": {"items": [1, None]},
        },
    }


def test_what_a_page_leaves_out_comes_from_the_handler_and_the_time(site: Site) -> None:
    before = time.time()
    site.post({"message": "hello"})
    (arrived,) = site.entries
    assert before <= arrived["created_at"] <= time.time()
    assert (arrived["level"], arrived["log_type"], arrived["service_version"]) == ("INFO", "FRONTEND", "v7")
    assert arrived["metadata"]["logger"] == "logcollector.browser"


def test_a_time_in_milliseconds_is_taken(site: Site) -> None:
    site.post({"message": "hello", "created_at": 1795723958250})
    assert site.entries[0]["created_at"] == 1795723958.25


def test_a_page_cannot_speak_for_another_service_or_client(site: Site) -> None:
    claims = {"service": "bank", "environment": "staging", "client_address": "127.0.0.1", "user_agent": "none"}
    site.post({"message": "hello", **claims}, {"message": "hello", "metadata": claims})
    site.post({"message": "hello", **claims}, client=None)
    for arrived in site.entries:
        assert (arrived["service"], arrived["environment"]) == ("shop", "production")
        shown = fields(arrived)
        assert shown["client_address"] in ("203.0.113.5", "unknown")
        assert shown["user_agent"] == "Mozilla/5.0"
        assert (shown["service"], shown["environment"]) == ("bank", "staging"), "kept, as all that a page sends"
        assert shown["client_address (2)"] == "127.0.0.1"


def test_fields_of_any_name_are_kept(site: Site) -> None:
    names = {"name": "n", "args": [1], "msg": "m", "levelno": 3, "exc_info": "e", "stack_info": "s", "taskName": "t"}
    site.post({"message": "hello", **names, "colour": "red"}, {"message": "hello", "metadata": names})
    first, second = map(fields, site.entries)
    assert first.items() >= {**names, "colour": "red"}.items()
    assert second.items() >= names.items()


@pytest.mark.parametrize("line", [True, -1, 10**9, 1.5, "7", [7]])
def test_a_line_or_a_logger_that_is_none_stays_a_field(site: Site, line: Any) -> None:
    site.post({"message": "hello", "metadata": {"line": line, "logger": {"a": line}}})
    (arrived,) = site.entries
    assert (arrived["metadata"]["line"], arrived["metadata"]["logger"]) == (None, "logcollector.browser")
    assert [arrived["metadata"]["line (2)"], arrived["metadata"]["logger (2)"]] == [line, {"a": line}]


def test_secrets_are_masked(site: Site) -> None:
    url = "https://shop.example/a?token=abc"
    site.post({"message": "hello", "metadata": {"password": "abc", "deep": [{"api_key": "abc"}]}, "secret": "abc"})
    site.post({"message": "hello", "file_path": url, "path": url})
    assert "abc" not in json.dumps(site.entries)


def test_nothing_that_is_bound_for_the_request_that_posts_gets_on_the_entries(site: Site) -> None:
    bind_context(path="/logs-relay/logs", method="POST", request_id="r", trace_id=OTHER, user_id="admin")
    try:
        site.post({"message": "hello"})
    finally:
        clear_context()
    (arrived,) = site.entries
    assert not {"path", "method", "trace_id", "user_id"} & arrived.keys()
    assert fields(arrived).keys() == {"client_address", "user_agent"}


def test_the_trace_of_the_page_is_that_of_entries_without_one(site: Site) -> None:
    site.post({"message": "a"}, {"message": "b", "trace_id": OTHER}, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    site.post({"message": "c"}, traceparent="00-nonsense-01")
    assert [entry.get("trace_id") for entry in site.entries] == [TRACE, OTHER, None]


def test_level_and_filters_of_the_handler_apply(site: Site) -> None:
    site.handler.setLevel(logging.WARNING)
    site.handler.addFilter(lambda record: record.getMessage() != "no")
    site.post(*({"message": text, "level": "WARN"} for text in ("yes", "no")), {"message": "low"})
    assert [entry["message"] for entry in site.entries] == ["yes"]


def test_a_filter_that_fails_costs_its_entry_alone(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    def picky(record: logging.LogRecord) -> bool:
        return 1 / (record.levelno - logging.ERROR) != 0

    site.handler.addFilter(picky)
    answer = site.post({"message": "a"}, {"message": "b", "level": "ERROR"}, {"message": "c"})
    assert (answer.status, [entry["message"] for entry in site.entries]) == (200, ["a", "c"])
    assert "an entry of a browser was lost: ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize(
    "bad",
    [
        {"level": "INFO"},
        {"message": 1},
        {"message": "m", "level": "WARNING"},
        {"message": "m", "metadata": [1]},
        {"message": "m", "trace_id": "x" * 33},
        {"message": "\ud800"},
        {"message": "m", "metadata": {"a\0": 1}},
        "text",
        None,
    ],
)
def test_what_is_no_entry_is_refused_with_its_index_and_nothing_of_the_batch_is_taken(site: Site, bad: Any) -> None:
    answer = site.post({"message": "good"}, bad)
    assert (answer.status, answer.said["index"]) == (422, 1)
    assert site.entries == []


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"", "", 400),
        (b"[]", "", 400),
        (b'{"logs": {}}', "", 400),
        (b'{"logs": [', "", 400),
        (b"[" * 100_000, "", 400),
        (b"\x1f\x8b not gzip", "gzip", 400),
        (gzip.compress(b'{"logs": []}')[:-2], "gzip", 400),
        (b'{"logs": []}', "br", 415),
        (b'{"logs": []}', "", 200),
        (gzip.compress(b'{"logs": [{"message": "m"}]}'), "gzip", 200),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(site: Site, body: bytes, encoding: str, status: int) -> None:
    assert site.post_bytes(body, content_encoding=encoding).status == status


def test_a_batch_that_is_sent_again_is_handed_on_once(site: Site) -> None:
    body = b'{"logs": [{"message": "m"}]}'
    answers = [site.post_bytes(body, idempotency_key="k1") for _ in range(2)]
    answers.append(site.post_bytes(gzip.compress(body), idempotency_key="k1", content_encoding="gzip"))
    assert [(answer.status, answer.said["count"]) for answer in answers] == [(200, 1)] * 3
    assert len(site.entries) == 1
    site.post_bytes(body, idempotency_key="k2")
    assert len(site.entries) == 2


def test_another_batch_under_a_known_key_is_refused(site: Site) -> None:
    site.post({"message": "a"}, idempotency_key="k")
    answer = site.post({"message": "b"}, idempotency_key="k")
    assert (answer.status, "index" in answer.said, len(site.entries)) == (422, False, 1)


def test_a_refused_batch_may_come_again_under_its_key(site: Site) -> None:
    assert site.post({"level": "INFO"}, idempotency_key="k").status == 422
    assert site.post({"message": "a"}, idempotency_key="k").status == 200
    assert site.post({"message": "a"}, idempotency_key="k" * 256).status == 400


def test_without_a_handler_the_page_is_told_to_keep_its_batch(capfd: pytest.CaptureFixture[str]) -> None:
    for send in (asgi_send(BrowserRelay()), wsgi_send(WsgiBrowserRelay())):
        body = b'{"logs": [{"message": "m"}]}'
        headers = {**PAGE, "host": "shop.example", "content-length": str(len(body)), "idempotency-key": "k"}
        for _ in range(2):
            answer = send("POST", "/logs-relay/logs", headers, body, None)
            assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        assert "no LogCollectorHandler: dictConfig has made none" in capfd.readouterr().err


def test_every_entry_has_the_origin_that_records_have(site: Site) -> None:
    site.post({"message": "m"})
    assert site.entries[0]["metadata"].keys() >= set(ORIGIN)
