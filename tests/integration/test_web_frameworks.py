"""FastAPI, Flask and Django behind uvicorn and gunicorn: what is logged there arrives, with what the request is."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from logcollector_handler.testing import CollectorServer
from tests.integration.served import access_of, by_logger, free_port, served, wait_for

pytestmark = pytest.mark.integration
pytest_plugins = ["logcollector_handler.testing"]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-ID": "req-1"}

UVICORN = ("uvicorn", "--fd", "{fd}", "--log-config", "logged.json", "--timeout-graceful-shutdown", "10")
GUNICORN = ("gunicorn", "-b", "fd://{fd}", "-c", "gunicorn.conf.py")


def has_the_request(entry: dict[str, Any], path: str) -> bool:
    metadata = entry["metadata"]
    return (entry["path"], entry["method"], entry["trace_id"], metadata["request_id"], metadata["client_address"]) == (
        path,
        "GET",
        TRACE,
        "req-1",
        "127.0.0.1",
    )


def leave_in_the_midst(url: str, path: str) -> None:
    """A client that reads a little and goes away."""
    parts = httpx.URL(url)
    with socket.create_connection((parts.host, parts.port or 80)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        client.recv(100)


def test_fastapi_behind_uvicorn(collector: CollectorServer) -> None:
    # Here: the environments that run the quick tests look at this file too, and have no frameworks.
    from websockets.sync.client import connect

    with served(collector, *UVICORN, "fastapi_app:app") as server:
        with ThreadPoolExecutor(8) as pool:
            kinds = ["items", "threaded"] * 50
            calls = [(f"/{kind}/{n}", {"X-Request-ID": f"{n}"}) for n, kind in enumerate(kinds)]
            answers = list(pool.map(lambda call: server.client.get(call[0], headers=call[1]), calls))
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.headers["X-Request-ID"] for answer in answers] == [f"{number}" for number in range(100)]
        assert server.client.get("/missing", headers=HEADERS).status_code == 404
        assert server.client.get("/handled?token=s3cret", headers=HEADERS).headers["X-Request-ID"] == "req-1"
        answer = server.client.get("/boom", headers=HEADERS)
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "req-1")
        assert len(server.client.get("/stream?pieces=3&seconds=0.05", headers=HEADERS).content) == 3000
        assert server.client.get("/background").status_code == 200
        with connect(f"{server.url.replace('http', 'ws')}/echo", additional_headers=HEADERS) as socket:
            for text in "abc":
                socket.send(text)
                assert socket.recv() == text
    assert server.process.returncode == -signal.SIGTERM, "uvicorn dies of it, so no exit handler runs"

    for number, kind in enumerate(kinds):
        path = f"/{kind}/{number}"
        (inside,) = [each for each in by_logger(collector, "shop") if each["message"] == f"{kind} {number}"]
        access = access_of(collector, path)
        assert inside["path"] == path
        assert inside["metadata"]["request_id"] == access["metadata"]["request_id"] == f"{number}"
        assert (access["level"], access["metadata"]["status"]) == ("INFO", 200)
        # Also what the endpoint or the dependency has bound in a thread.
        assert access["user_id"] == f"{number}"
        assert access.get("session_id") == (f"s-{number}" if kind == "threaded" else None)
        assert access["function_name"] == ("item" if kind == "items" else "threaded")
    assert (access_of(collector, "/missing")["level"], access_of(collector, "/missing")["metadata"]["status"]) == (
        "WARN",
        404,
    )
    boom = access_of(collector, "/boom")
    assert has_the_request(boom, "/boom")
    assert (boom["level"], boom["metadata"]["status"], boom["error_type"]) == ("ERROR", 500, "ValueError")
    assert boom["stack_trace"].endswith("ValueError: no stock")
    assert [each["message"] for each in collector.entries if each["level"] in ("ERROR", "FATAL")] == [boom["message"]]
    # uvicorn logs it again, and the end of a WebSocket that an endpoint did not catch.
    again = {
        each["error_type"]: each["level"] for each in by_logger(collector, "uvicorn.error") if "error_type" in each
    }
    assert again == {"ValueError": "INFO", "WebSocketDisconnect": "INFO"}
    for message, path in (("answering ValueError", "/boom"), ("handled", "/handled")):
        (said,) = [each for each in by_logger(collector, "shop") if each["message"] == message]
        assert has_the_request(said, path)
    assert said["metadata"]["request"] == {"method": "GET", "path": "/handled"}
    stream = access_of(collector, "/stream")
    assert (stream["level"], stream["duration_ms"] >= 100) == ("INFO", True)
    assert "pieces=3" not in stream["path"]
    (work,) = [each for each in by_logger(collector, "shop") if each["message"] == "in the background"]
    assert work["path"] == "/background"
    assert access_of(collector, "/background")["created_at"] < work["created_at"]
    echo = access_of(collector, "/echo")
    assert (echo["level"], echo["metadata"]["status"], echo["metadata"]["close_code"]) == ("INFO", 101, 1000)
    echoed = [each for each in by_logger(collector, "shop") if each["message"].startswith("echo")]
    assert [(each["message"], each["trace_id"]) for each in echoed] == [(f"echo {text}", TRACE) for text in "abc"]
    # uvicorn's own loggers came by the same way, until it told the application to shut down.
    lines = {each["path"]: each for each in by_logger(collector, "uvicorn.access")}
    assert len(lines) >= 105
    line = lines["/items/0"]
    assert (line["method"], line["metadata"]["status"], line["metadata"]["client_address"]) == ("GET", 200, "127.0.0.1")
    assert line["message"].endswith('"GET /items/0 HTTP/1.1" 200')
    assert by_logger(collector, "uvicorn.error")[-1]["message"] == "Waiting for application shutdown."
    assert server.out == ""


def test_uvicorn_in_a_program_with_drain_on_signals_loses_not_even_its_own_last_line(
    collector: CollectorServer,
) -> None:
    with served(collector, "own_server", "{fd}") as server:
        assert server.client.get("/items/7").status_code == 200
    assert access_of(collector, "/items/7")["level"] == "INFO"
    assert by_logger(collector, "uvicorn.error")[-1]["message"].startswith("Finished server process")


def test_a_client_that_leaves_a_stream_of_fastapi(collector: CollectorServer) -> None:
    with served(collector, *UVICORN, "fastapi_app:app") as server:
        leave_in_the_midst(server.url, "/stream?pieces=1000&seconds=0.05")
        time.sleep(0.2)
    access = access_of(collector, "/stream")
    assert (access["level"], access["metadata"]["incomplete"]) == ("WARN", True)
    assert access["message"].endswith("the client went away")


@pytest.mark.parametrize(
    "worker",
    [("--workers", "2"), ("--workers", "2", "--preload"), ("--workers", "1", "--threads", "4")],
    ids=["sync", "preload", "threads"],
)
def test_flask_behind_gunicorn(collector: CollectorServer, worker: tuple[str, ...]) -> None:
    with served(collector, *GUNICORN, *worker, "flask_app:app") as server:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: server.client.get(f"/items/{n}", headers=HEADERS), range(100)))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["X-Request-ID"] for answer in answers} == {"req-1"}
        assert server.client.get("/missing").status_code == 404
        assert server.client.get("/boom", headers=HEADERS).headers["X-Request-ID"] == "req-1"
        assert server.client.get("/file").content == b"x" * 1000
        assert len(server.client.get("/stream/3/0.05", headers=HEADERS).content) == 300_000
        leave_in_the_midst(server.url, "/stream/50/0.01")
    assert server.process.returncode == 0

    for number in range(100):
        (inside,) = [each for each in by_logger(collector, "shop") if each["message"] == f"item {number}"]
        access = access_of(collector, f"/items/{number}")
        assert has_the_request(inside, f"/items/{number}")
        assert has_the_request(access, f"/items/{number}")
        # Not that of an earlier request in the same thread.
        assert access.get("user_id") == inside.get("user_id") == (f"{number}" if number % 2 else None)
    assert access_of(collector, "/missing")["level"] == "WARN"
    boom = access_of(collector, "/boom")
    assert (boom["level"], boom["metadata"]["status"], boom["function_name"]) == ("INFO", 500, "boom")
    # Flask answers an exception itself, and logs it.
    (error,) = by_logger(collector, "flask_app")
    assert [each["message"] for each in collector.entries if each["level"] in ("ERROR", "FATAL")] == [error["message"]]
    assert access_of(collector, "/file")["level"] == "INFO"
    assert has_the_request(error, "/boom")
    assert error["stack_trace"].endswith("ValueError: no stock")
    assert access_of(collector, "/stream/3/0.05")["duration_ms"] >= 100
    pieces = [each for each in by_logger(collector, "shop") if each["path"] == "/stream/3/0.05"]
    assert [each["trace_id"] for each in pieces] == [TRACE] * 3
    left = access_of(collector, "/stream/50/0.01")
    assert (left["level"], left["metadata"]["incomplete"]) == ("WARN", True)
    lines = {each["path"]: each for each in by_logger(collector, "gunicorn.access")}
    assert len(lines) >= 104
    line = lines["/stream/3/0.05"]
    assert (line["method"], line["metadata"]["status"], line["metadata"]["client_address"]) == ("GET", 200, "127.0.0.1")
    assert line["duration_ms"] >= 100
    assert any("Shutting down" in each["message"] for each in by_logger(collector, "gunicorn.error"))
    assert server.out == ""


@pytest.mark.parametrize(
    "command", [(*UVICORN, "django_app:asgi"), (*GUNICORN, "django_app:wsgi")], ids=["uvicorn", "gunicorn"]
)
def test_django_with_logging_in_its_settings(collector: CollectorServer, command: tuple[str, ...]) -> None:
    with served(collector, *command) as server:
        for number in range(10):
            assert server.client.get(f"/items/{number}", headers=HEADERS).json() == {"number": number}
        assert server.client.get("/missing?token=s3cret").status_code == 404
        assert server.client.get("/boom", headers=HEADERS).headers["X-Request-ID"] == "req-1"
        assert server.client.get("/busy").status_code == 503
        assert server.client.get("/stream", headers=HEADERS).content == b"xxx"
    assert server.process.returncode == (-signal.SIGTERM if "uvicorn" in command else 0)

    inside = [each for each in by_logger(collector, "shop") if each["message"].startswith("item")]
    assert [has_the_request(each, f"/items/{number}") for number, each in enumerate(inside)] == [True] * 10
    pieces = [each for each in by_logger(collector, "shop") if each["message"].startswith("piece")]
    assert [has_the_request(each, "/stream") for each in pieces] == [True] * 3
    assert access_of(collector, "/missing")["level"] == "WARN"
    missing, boom, busy = by_logger(collector, "django.request")
    assert (missing["level"], missing["message"]) == ("WARN", "Not Found: /missing")
    assert (boom["level"], boom["message"], boom["error_type"]) == (
        "ERROR",
        "Internal Server Error: /boom",
        "ValueError",
    )
    assert has_the_request(boom, "/boom")
    assert boom["stack_trace"].endswith("ValueError: no stock")
    # The request object, which Django puts on the record.
    assert boom["metadata"]["request"] == {"method": "GET", "path": "/boom"}
    assert boom["metadata"]["status_code"] == boom["metadata"]["status"] == 500
    assert "s3cret" not in str([{**each, "message": ""} for each in collector.entries])
    errors = [each["message"] for each in collector.entries if each["level"] in ("ERROR", "FATAL")]
    assert errors == [boom["message"], busy["message"]]
    assert {access_of(collector, path)["level"] for path in ("/boom", "/busy")} == {"INFO"}
    assert collector.ignored_keys == set()


@pytest.mark.parametrize("reload", [("--noreload",), ()], ids=["one process", "with the reloader"])
def test_djangos_runserver_starts_serves_and_ends(collector: CollectorServer, reload: tuple[str, ...]) -> None:
    port = free_port()
    command = ("django_app", "runserver", *reload, f"127.0.0.1:{port}")
    with served(collector, *command, DEBUG="1", DJANGO_SETTINGS_MODULE="") as server:
        wait_for_port(port)
        answer = httpx.get(f"http://127.0.0.1:{port}/boom", trust_env=False, timeout=60)
        assert answer.status_code == 500
        # The reloader kills its child a quarter of a second after Ctrl-C.
        wait_for(collector, "django.server", 1)
        server.end(signal.SIGINT)
    (boom,) = by_logger(collector, "django.request")
    assert boom["error_type"] == "ValueError"
    # There the record's `request` is a socket.
    line = by_logger(collector, "django.server")[-1]
    assert "socket" in line["metadata"]["request"]
    assert (line["method"], line["path"], line["metadata"]["status"]) == ("GET", "/boom", 500)
    assert line["metadata"]["client_address"] == "127.0.0.1"


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on {port}")
