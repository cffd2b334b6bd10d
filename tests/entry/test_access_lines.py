"""Access lines of web servers arrive as they are printed, with what they say as fields."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler import log_context
from logcollector_handler.entry.access_lines import READERS
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields

SECRET = "token=s3cret"
APACHE = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
WERKZEUG = '::1 - - [26/Nov/2026 16:00:00] "%s" %s %s'


class Atoms(dict[str, Any]):
    """As the servers have it: what is not there is a dash."""

    def __missing__(self, key: str) -> str:
        return "-"


def apache(**changes: Any) -> Atoms:
    return Atoms(
        {"h": "10.0.0.1", "m": "GET", "U": "/orders", "q": SECRET, "s": "404", "D": 1500, "r": f"GET /orders?{SECRET}"},
        **changes,
    )


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    with capturing() as handler:
        yield handler


def columns(entry: dict[str, Any]) -> tuple[Any, ...]:
    more = fields(entry)
    return (
        entry.get("method"),
        entry.get("path"),
        more.get("status"),
        more.get("client_address"),
        entry.get("duration_ms"),
    )


@pytest.mark.parametrize(
    ("logger", "message", "args", "expected"),
    [
        (
            "uvicorn.access",
            '%s - "%s %s HTTP/%s" %d',
            ("10.0.0.1:5000", "PUT", f"/gr%C3%B6%C3%9Fe/7?{SECRET}", "1.1", 503),
            ("PUT", "/größe/7", 503, "10.0.0.1", None),
        ),
        (
            "uvicorn.access",
            '%s - "%s %s HTTP/%s" %d',
            ("::1:5000", "GET", "/", "2", 200),
            ("GET", "/", 200, "::1", None),
        ),
        ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', ("", "GET", "/", "1.1", 200), ("GET", "/", 200, None, None)),
        ("gunicorn.access", APACHE, (apache(),), ("GET", "/orders", 404, "10.0.0.1", 1.5)),
        (
            "gunicorn.access",
            APACHE,
            (apache(h="", U="/größe".encode().decode("latin-1")),),
            ("GET", "/größe", 404, None, 1.5),
        ),
        ("hypercorn.access", APACHE, (apache(h="::1:5000"),), ("GET", "/orders", 404, "::1", 1.5)),
        (
            "granian.access",
            '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f',
            (
                {
                    "addr": "10.0.0.1",
                    "time": "now",
                    "dt_ms": 2.25,
                    "status": 200,
                    "path": "/orders",
                    "query_string": SECRET,
                    "method": "GET",
                    "scheme": "http",
                    "protocol": "HTTP/1.1",
                },
            ),
            ("GET", "/orders", 200, "10.0.0.1", 2.25),
        ),
        (
            "werkzeug",
            WERKZEUG,
            (f"\x1b[35m\x1b[1mPOST /orders?{SECRET} HTTP/1.1\x1b[0m", "500", "-"),
            ("POST", "/orders", 500, "::1", None),
        ),
        ("werkzeug", "Press CTRL+C to quit", (), (None,) * 5),
        (
            "django.server",
            '"%s" %s %s',
            (f"GET /orders?{SECRET} HTTP/1.1", "200", "5"),
            ("GET", "/orders", 200, None, None),
        ),
        ("django.server", '"%s" %s %s', ("nonsense", "400", "5"), (None,) * 5),
    ],
)
def test_a_line_keeps_its_text_and_gives_its_parts(
    captured: CapturingHandler, logger: str, message: str, args: tuple[Any, ...], expected: tuple[Any, ...]
) -> None:
    # Twice: the second time the call site is known.
    for _ in range(2):
        logging.getLogger(logger).info(message, *args)
    plain = logging.LogRecord("", 0, "", 0, message, args, None).getMessage()
    for entry in captured.entries:
        assert columns(entry) == expected
        assert entry["message"] == plain
        assert SECRET not in str({**entry, "message": ""})


def test_the_line_of_djangos_server_has_the_address_of_its_connection(captured: CapturingHandler) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as connection,
    ):
        extra = {"request": connection, "server_time": "now", "status_code": 200}
        logging.getLogger("django.server").info('"%s" %s %s', "GET / HTTP/1.1", "200", "5", extra=extra)
    assert columns(captured.entries[0]) == ("GET", "/", 200, "127.0.0.1", None)


def test_what_the_line_says_wins_over_the_context_and_loses_to_the_fields_of_the_call(
    captured: CapturingHandler,
) -> None:
    line = ('%s - "%s %s HTTP/%s" %d', "10.0.0.1:5000", "GET", "/line", "1.1", 200)
    with log_context(path="/context", user_id=7):
        logging.getLogger("uvicorn.access").info(*line)
        logging.getLogger("uvicorn.access").info(*line, extra={"path": "/call"})
    assert [(entry["path"], entry["user_id"]) for entry in captured.entries] == [("/line", "7"), ("/call", "7")]


VALUES = (
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["1", "GET / HTTP/1.1"]) | st.binary(max_size=3)
)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(READERS)),
    st.text(max_size=5),
    st.lists(VALUES, max_size=6).map(tuple) | st.dictionaries(st.sampled_from("hmUsDq"), VALUES) | VALUES,
    st.dictionaries(st.sampled_from(["request", "status_code"]), VALUES),
)
def test_lines_of_any_other_form_are_shipped_as_they_are(
    logger: str, message: str, args: Any, extra: dict[str, Any]
) -> None:
    record = logging.LogRecord(logger, logging.INFO, "f.py", 1, message.replace("%", ""), None, None, "f")
    record.args = args
    record.__dict__.update(extra)
    with capturing() as handler:
        handler.handle(record)
    (entry,) = handler.entries
    assert entry["metadata"]["logger"] == logger
    assert "unreadable" not in entry["metadata"]
