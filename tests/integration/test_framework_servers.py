"""Real servers under the middlewares: a lifespan that fails, the length of bodies, and files that servers send."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from logcollector_handler.integrations.wsgi import Environ, RequestLogMiddleware, StartResponse
from logcollector_handler.testing import CapturingHandler, CollectorServer
from tests import needed
from tests.capturing import capturing, fields
from tests.integration.served import by_logger, served

with needed.packages():
    import waitress

pytestmark = pytest.mark.integration
pytest_plugins = ["logcollector_handler.testing"]

UVICORN = ("uvicorn", "--fd", "{fd}", "--log-config", "logged.json")
CONTENT = b"content" * 10_000


@pytest.mark.parametrize("name", ["starting", "bare"])
def test_uvicorn_does_not_start_an_application_whose_start_fails_and_its_exception_arrives(
    collector: CollectorServer, name: str
) -> None:
    with served(collector, *UVICORN, f"failing_app:{name}") as server:
        server.process.communicate(timeout=120)
    assert server.process.returncode == 3, "uvicorn's status for this"
    (failed,) = by_logger(collector, "logcollector.lifespan")
    assert (failed["level"], failed["error_type"]) == ("ERROR", "ConnectionError")
    assert failed["message"] == "the application failed at its startup"
    # uvicorn logs the traceback that it was told, as text, and what it does then.
    errors = [each["message"] for each in collector.entries if each["level"] in ("ERROR", "FATAL")]
    assert sorted(errors) == ["Application startup failed. Exiting.", failed["message"]]


def test_uvicorn_is_told_of_an_end_that_fails_and_its_exception_arrives(collector: CollectorServer) -> None:
    with served(collector, *UVICORN, "failing_app:ending") as server:
        assert server.client.get("/").status_code == 404
        server.end()
    (failed,) = by_logger(collector, "logcollector.lifespan")
    assert (failed["level"], failed["error_type"]) == ("ERROR", "ConnectionError")
    assert failed["message"] == "the application failed at its shutdown"


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/file":
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
        file.write(CONTENT)
        file.seek(0)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped
    return [CONTENT]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """waitress, which sends files by itself and closes them in another thread."""
    server: Any = waitress.create_server(
        # Descriptors from 1024 on can be polled, not selected: other tests may have many open.
        RequestLogMiddleware(application),
        host="127.0.0.1",
        port=0,
        threads=2,
        asyncore_use_poll=True,
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
    thread.join(60)


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    with capturing("logcollector.access") as handler:
        yield handler


@pytest.mark.parametrize("path", ["/file", "/list"])
def test_waitress_sends_the_length_of_a_file_and_of_a_list(url: str, captured: CapturingHandler, path: str) -> None:
    logged = threading.Event()
    handle = captured.emit

    def emit(record: Any) -> None:
        handle(record)
        logged.set()

    captured.emit = emit  # type: ignore[method-assign]
    answer = httpx.get(url + path, headers={"X-Request-ID": "req-1"}, trust_env=False, timeout=60)
    assert answer.content == CONTENT
    assert (answer.headers["Content-Length"], answer.headers["X-Request-ID"]) == (str(len(CONTENT)), "req-1")
    assert logged.wait(60)
    (access,) = captured.entries
    assert (access["level"], access["path"], fields(access)["request_id"]) == ("INFO", path, "req-1")
    assert "incomplete" not in fields(access)
