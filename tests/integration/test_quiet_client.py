"""What the HTTP client logs about the package's own requests reaches nobody, at any level; that of others does."""

from __future__ import annotations

import logging
from dataclasses import replace

import httpcore
import httpx
import pytest

from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.delivery.harness import WIRE, FakeClock
from tests.integration import behaviours
from tests.integration.faulty import FaultyServer
from tests.integration.programs import run
from tests.integration.proxying import ConnectProxy

pytestmark = pytest.mark.integration


def test_no_line_of_a_request_reaches_a_handler_of_the_application_at_debug(
    certificate: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script = [behaviours.answer(), behaviours.answer(401), behaviours.cut_after_body(), behaviours.html_page()]
    with FaultyServer(script, tls=certificate) as server, ConnectProxy() as proxy:
        for way in (None, proxy.url):
            settings = replace(
                Settings(), server_url=server.url, verify=certificate[0], api_key="hunter2", proxy=way, timeout=60.0
            )
            transport = HttpTransport(settings, WIRE, FakeClock())
            for number in range(3):
                transport.post(f"a{number}", b'{"logs":[]}', False, 60.0)
            transport.close()
        assert len(server.requests) == 7, "one was sent again"
        assert caplog.records == []
        httpx.post(server.url, verify=False, timeout=60.0)
        with httpcore.ConnectionPool() as pool, pytest.raises(httpcore.ConnectError):
            pool.request("GET", "http://127.0.0.1:9")
    heard = {record.name for record in caplog.records}
    assert {"httpx", "httpcore.connection", "httpcore.http11"} <= heard, "those of the application still log"


def test_a_process_with_everything_at_debug_hears_nothing_of_the_requests() -> None:
    """Also of those at its end, in the thread that ends it."""
    with FaultyServer([behaviours.answer(503)]) as server:
        ended = run(
            server,
            """
            handler = configure(api_key="hunter2", max_retries=0)
            logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
            log.info("first")
            handler.flush(60)
            log.info("last")
            """,
        )
        assert (ended.code, ended.out.split()) == (0, ["first", "last"])
        assert [entry["message"] for entry in server.stored] == ["first", "last"]
