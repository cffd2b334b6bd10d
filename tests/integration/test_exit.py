"""How a process ends, reconfigures and closes: what was logged arrives, within the deadline, on every Python."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.integration.programs import messages, run

pytestmark = [pytest.mark.integration, pytest.mark.every_python]

ENDINGS = {
    "end of the script": "",
    "sys.exit": "sys.exit(3)",
    "an unhandled exception": "raise ZeroDivisionError",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "logging.shutdown, twice": "logging.shutdown(); logging.shutdown()",
    "the handler was dropped without close": "logging.getLogger().handlers.clear(); gc.collect()",
    "sys.exit in a thread": "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()",
    "an exception in a thread": "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()",
    "an interrupt by a thread": """
thread = threading.Thread(target=__import__("_thread").interrupt_main); thread.start()
while True: time.sleep(0.01)
""",
    "a thread that goes on": """
threading.Thread(target=lambda: (time.sleep(0.2), [log.info("late %d", n) for n in range(10)])).start()
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_logged_before_the_end_of_the_process_arrives(server: FaultyServer, ending: str) -> None:
    ended = run(server, f"configure()\nfor n in range(2500): log.info('m%d', n)\n{ENDINGS[ending]}")
    late = [f"late {number}" for number in range(10)] if "late" in ENDINGS[ending] else []
    assert messages(server) == [f"m{number}" for number in range(2500)] + late
    assert "logcollector-handler" not in ended.err


def test_an_exit_handler_that_logs_is_heard_whenever_it_was_registered(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        atexit.register(log.info, "registered before the handler was made")
        configure()
        atexit.register(log.info, "registered after")
        log.info("usual")
        """,
    )
    assert ended.code == 0
    assert ended.err == ""
    assert sorted(messages(server)) == [
        "registered after",
        "registered before the handler was made",
        "usual",
    ]


def test_the_first_record_of_all_may_come_from_an_exit_handler(server: FaultyServer) -> None:
    """From Python 3.12 on no thread can be started then."""
    ended = run(server, "atexit.register(log.info, 'first and last')\nconfigure()")
    assert ended.err == ""
    assert messages(server) == ["first and last"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("keeper", ["the main module", "the modules"])
def test_what_a_finalizer_logs_while_the_interpreter_goes_down_arrives(
    server: FaultyServer, keeper: str, host: str
) -> None:
    """Most of the interpreter is gone by then: no thread starts, not even for a name, and modules go one by one."""
    ended = run(
        server,
        f"""
        class Loud:
            def __del__(self):
                log.info("finalizer")
        configure(server_url=os.environ["SERVER"].replace("127.0.0.1", {host!r}))
        log.info("usual")
        loud = Loud()
        if "{keeper}" == "the modules":
            sys.modules["keeps_it_to_the_end"] = loud
        """,
    )
    assert ended.code == 0
    assert ended.err == ""
    assert messages(server) == ["usual", "finalizer"]


@pytest.mark.parametrize("fault", ["hangs", "refuses", "answers 503"])
def test_an_exit_takes_no_longer_than_shutdown_timeout_for_all_handlers_together(
    server: FaultyServer, fault: str
) -> None:
    if fault == "refuses":
        server.refuse()
    else:
        server.default = behaviours.hang() if fault == "hangs" else answer(503)
    ended = run(
        server,
        """
        first = configure(shutdown_timeout=5, timeout=120)
        for _ in range(19):
            log.addHandler(first.__class__(server_url=os.environ["SERVER"], shutdown_timeout=5, timeout=120))
        log.info("x")
        time.sleep(0.3)  # The request is under way.
        print(time.time(), flush=True)
        """,
    )
    took = time.time() - float(ended.out)
    assert ended.code == 0
    assert took < 80, "one deadline, not one a handler: that would be 100 s"
    assert "dropped" in ended.err
    assert len(ended.err.splitlines()) <= 40


def test_dictconfig_again_returns_at_once_with_a_hung_server_and_nothing_is_lost(server: FaultyServer) -> None:
    configured_again = threading.Event()

    def script(request: Request) -> Behaviour:
        if [entry["message"] for entry in request.entries] == ["after"]:
            configured_again.set()
        return behaviours.hang(configured_again) if len(server.requests) == 1 else answer()

    server.default = script
    ended = run(
        server,
        """
        old = configure(timeout=60, shutdown_timeout=60)
        log.info("first")
        old.flush()
        log.error("hangs")
        while not old.stats().requests == 2: time.sleep(0.001)
        began = time.monotonic()
        new = configure(timeout=60, shutdown_timeout=60)
        print(time.monotonic() - began)
        log.info("after")
        new.flush(); old.flush()
        """,
    )
    assert float(ended.out) < 30, "did not wait for the request that hangs"
    assert sorted(messages(server)) == ["after", "first", "hangs"]


def test_dictconfig_again_and_again_while_threads_log_loses_nothing(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        configure()
        def work(name):
            for n in range(300):
                log.info("%s-%d", name, n)
                time.sleep(0.0005)
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads: thread.start()
        for _ in range(10):
            configure()
            time.sleep(0.02)
        for thread in threads: thread.join()
        """,
    )
    assert ended.code == 0, ended.err
    # While dictConfig works there is a moment without any handler; what is logged then never was accepted.
    assert len(messages(server)) == len(set(messages(server)))
    for name in "abcd":
        assert f"{name}-299" in messages(server)


def test_a_record_after_close_opens_the_handler_again(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
        for n in range(3):
            log.info("m%d", n)
            handler.close()
            print(len([t for t in threading.enumerate() if "logcollector" in t.name]))
        """,
    )
    assert messages(server) == ["m0", "m1", "m2"]
    assert ended.out.split() == ["0", "0", "0"]


def test_a_client_that_cannot_be_imported_at_exit_raises_nothing_into_the_application(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        sys.modules["httpx"] = None
        atexit.register(lambda: print("the exit goes on"))
        atexit.register(lambda: log.info("late"))
        configure(shutdown_timeout=0.5)
        """,
    )
    assert ended.code == 0
    assert ended.out.strip() == "the exit goes on"
    assert "Traceback" not in ended.err
    assert "1 record" in ended.err


def test_records_that_are_still_in_the_queue_at_the_deadline_are_reported(server: FaultyServer) -> None:
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        from logcollector_handler.delivery import exit as ending
        from logcollector_handler.wire.collector import CollectorFormat
        handler = configure(shutdown_timeout=0.3, batch_size=10)
        encode = CollectorFormat.encode
        def slowly(*arguments):
            time.sleep(0.2)
            return encode(*arguments)
        CollectorFormat.encode = slowly
        for n in range(1000): log.info("m%d", n)
        ending.drain()
        stats = handler.stats()
        print(sum(stats.dropped.values()), stats.pending)
        """,
    )
    dropped, pending = map(int, ended.out.split())
    assert dropped + pending == 1000
    assert pending <= 20, "no more than what is in hand"
    assert "dropped" in ended.err


def test_records_from_exit_handlers_have_one_deadline_for_all_handlers(server: FaultyServer) -> None:
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        atexit.register(lambda: log.info("late"))
        first = configure(shutdown_timeout=5, timeout=120)
        for _ in range(19):
            log.addHandler(first.__class__(server_url=os.environ["SERVER"], shutdown_timeout=5, timeout=120))
        print(time.time(), flush=True)
        """,
    )
    assert time.time() - float(ended.out) < 80, "one deadline, not one a handler: that would be 100 s"
