"""Tests of the application that freeze time: what waits goes on to wait in real time, and so comes to an end."""

from __future__ import annotations

import pytest

from tests.integration.behaviours import hang
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration

#: How tests freeze time, each as a context manager.
FREEZERS = {
    "freezegun": "from freezegun import freeze_time\nfrozen = lambda: freeze_time('2001-02-03')",
    "time-machine": "import time_machine\nfrozen = lambda: time_machine.travel('2001-02-03', tick=False)",
}


@pytest.fixture(params=FREEZERS)
def freezer(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param.replace("-", "_"))
    return FREEZERS[request.param].replace("\n", "\n        ")


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("when", ["at the first import", "later"])
def test_with_a_server_that_hangs_flush_and_close_return_though_time_stands_still(
    server: FaultyServer, freezer: str, when: str, spool: bool, tmp_path: object
) -> None:
    server.default = hang()
    more = f", spool_dir={str(tmp_path)!r}" if spool else ""
    ended = run(
        server,
        f"""
        {freezer}
        if {when == "later"}:
            import logcollector_handler
        with frozen():
            handler = configure(shutdown_timeout=1, timeout=0.5{more})
            log.info("one")
            print(handler.flush(0.5))
            handler.close()
            log.info("two")
        """,
        timeout=60,
    )
    assert (ended.code, ended.out) == (0, "False\n"), ended.err


@pytest.mark.parametrize("when", ["at the first import", "later"])
def test_records_arrive_with_their_own_times_while_time_stands_still_and_after(
    server: FaultyServer, freezer: str, when: str
) -> None:
    ended = run(
        server,
        f"""
        {freezer}
        if {when == "later"}:
            import logcollector_handler
        with frozen():
            handler = configure(flush_interval=0.2)
            log.info("frozen")
            deadline = time.clock_gettime(time.CLOCK_MONOTONIC) + 60
            while not handler.stats().delivered and time.clock_gettime(time.CLOCK_MONOTONIC) < deadline:
                threading.Event().wait(0.01)
            print(handler.stats().delivered)
        log.info("after")
        print(handler.flush(60))
        handler.close()
        log.info("again")
        """,
    )
    assert (ended.code, ended.out, ended.err) == (0, "1\nTrue\n", "")
    assert messages(server) == ["frozen", "after", "again"]
    times = [entry["created_at"] for entry in server.stored]
    assert times[0] == pytest.approx(981158400, abs=86400), "the third of February 2001, somewhere"
    assert min(times[1:]) > 1_700_000_000
