"""The last records of a process: one failure loses none, late ones go together, the time for the end is used once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer, retry_after
from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages, run

pytestmark = [pytest.mark.integration, pytest.mark.every_python]

FAULTS: dict[str, list[Behaviour]] = {
    "503": [answer(503)] * 2,
    "429": [answer(429)],
    "500": [answer(500)] * 3,
    "a wait that fits": [retry_after(1)],
    "a wait that does not": [retry_after(290)],
    "connection cut": [behaviours.cut_before_body(), behaviours.cut_after_body()],
}


@pytest.mark.parametrize("ending", ["", "handler.close()"], ids=["exit", "close and exit"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_for_a_moment_gets_what_was_logged_last(fault: str, ending: str) -> None:
    with FaultyServer(FAULTS[fault]) as server:
        ended = run(server, f"handler = configure()\nlog.info('last')\n{ending}", LOGCOLLECTOR_SHUTDOWN_TIMEOUT="30")
        assert messages(server) == ["last"], ended.err
        assert "dropped" not in ended.err


def test_wrong_settings_do_not_hold_up_the_exit(server: FaultyServer) -> None:
    server.default = answer(401)
    ended = run(server, "configure()\nlog.info('x')")
    assert ended.seconds < 60, "not shutdown_timeout"
    assert len(server.requests) == 1
    assert "check api_key" in ended.err
    assert "1 record was dropped" in ended.err


MEMORY = """
from logging.handlers import MemoryHandler
log.setLevel("INFO"); log.propagate = False
"""
BEFORE = (
    MEMORY
    + """
import weakref
buffer = MemoryHandler(5000, flushLevel=100)
handler = configure()
buffer.setTarget(handler)
# dictConfig has taken it off the list of those that logging.shutdown() closes, from the last to the first.
logging._handlerList.insert(0, weakref.ref(buffer))
log.addHandler(buffer)
"""
)
AFTER = (
    MEMORY
    + """
handler = configure()
log.addHandler(MemoryHandler(5000, flushLevel=100, target=handler))
"""
)


def test_what_a_memory_handler_is_flushed_of_last_goes_in_one_batch(server: FaultyServer) -> None:
    ended = run(server, AFTER + "for n in range(900): log.info('m%d', n)")
    assert ended.err == ""
    assert messages(server) == [f"m{n}" for n in range(900)]
    assert len(server.requests) <= 3


def test_what_comes_after_the_handler_was_closed_is_sent_as_well_on_one_connection(server: FaultyServer) -> None:
    ended = run(server, BEFORE + "for n in range(100): log.info('m%d', n)")
    assert ended.err == ""
    assert messages(server) == [f"m{n}" for n in range(100)]
    assert len({id(request._connection) for request in server.requests}) == 1


@pytest.mark.parametrize("setup", [BEFORE, AFTER], ids=["before ours", "after ours"])
def test_what_cannot_be_sent_any_more_is_not_said_of_each_record(server: FaultyServer, setup: str) -> None:
    server.default = behaviours.hang()
    ended = run(server, setup + "for n in range(900): log.info('m%d', n)", LOGCOLLECTOR_SHUTDOWN_TIMEOUT="1")
    assert "dropped" in ended.err
    assert len(ended.err.splitlines()) <= 4
    assert ended.seconds < 60


@pytest.mark.parametrize("pause", ["0", "0.001", "0.1"])
def test_a_thread_that_goes_on_logging_holds_up_neither_flush_nor_close_nor_exit(
    server: FaultyServer, pause: str
) -> None:
    ended = run(
        server,
        f"""
        handler = configure()
        def go_on():
            while True:
                log.info("other")
                time.sleep({pause})
        threading.Thread(target=go_on, daemon=True).start()
        log.info("one"); print(handler.flush())
        log.info("two"); handler.close()
        log.info("three")
        """,
    )
    assert ended.out == "True\n"
    assert {"one", "two", "three"} <= set(messages(server))
    assert ended.seconds < 60, "shutdown_timeout is longer"


UVICORN = """
import uvicorn
from logcollector_handler import drain_on_signals
from logcollector_handler.integrations.asgi import RequestLogMiddleware

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                log.info("the application ends")
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return

if __name__ == "__main__":
    configure(shutdown_timeout=3, timeout=120)
    DRAIN
    print("ready", flush=True)
    uvicorn.run(RequestLogMiddleware(app), fd=int(sys.argv[1]), log_config=None)
"""


@pytest.mark.parametrize("drain", ["pass", "drain_on_signals()"])
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_uvicorn_takes_the_time_for_the_end_once_though_the_server_hangs(
    server: FaultyServer, tmp_path: Path, number: str, drain: str
) -> None:
    server.default = behaviours.hang()
    path = tmp_path / "program.py"
    path.write_text(PRELUDE + UVICORN.replace("DRAIN", drain))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, str(path), str(listening.fileno())],
            env={**os.environ, "SERVER": server.url},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(listening.fileno(),),
        )
        try:
            server.wait_for_requests(1)
            start = time.monotonic()
            process.send_signal(getattr(signal, number))
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - start < 3 + 20
    assert "could not be sent in time" in err or "dropped" in err
