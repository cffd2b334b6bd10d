"""The life of a handler in real processes: exit in every way, dictConfig again, close and reopen, fork, re-entrancy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer

pytestmark = pytest.mark.integration

PRELUDE = """
import atexit, gc, logging, logging.config, multiprocessing, os, signal, sys, threading, time

def configure(**settings):
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "server_url": os.environ["SERVER"],
            **settings,
        }},
        "root": {"level": "DEBUG", "handlers": ["collector"]},
    })
    return logging.getLogger().handlers[0]

log = logging.getLogger("shop")
"""


@dataclass
class Ended:
    """How a process ended, and how long it took from its last line of code."""

    code: int
    out: str
    err: str
    seconds: float


def run(server: FaultyServer, script: str, timeout: float = 60.0, **environ: str) -> Ended:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script)],
        env={**os.environ, "SERVER": server.url, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def messages(server: FaultyServer) -> list[str]:
    return [str(entry["message"]) for entry in server.stored]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


ENDINGS = {
    "end of the script": "",
    "sys.exit": "sys.exit(3)",
    "an unhandled exception": "raise ZeroDivisionError",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "logging.shutdown, twice": "logging.shutdown(); logging.shutdown()",
    "the handler was dropped without close": "logging.getLogger().handlers.clear(); gc.collect()",
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


def test_a_finalizer_that_logs_while_the_interpreter_goes_down_harms_nobody(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        class Loud:
            def __del__(self):
                log.info("finalizer")
        configure()
        log.info("usual")
        loud = Loud()
        sys.modules["keeps_it_to_the_end"] = loud
        """,
    )
    assert ended.code == 0
    assert "usual" in messages(server)
    assert ended.seconds < 20


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
        first = configure(shutdown_timeout=1.5, timeout=30)
        for _ in range(3):
            log.addHandler(first.__class__(server_url=os.environ["SERVER"], shutdown_timeout=1.5, timeout=30))
        log.info("x")
        time.sleep(0.3)  # The request is under way.
        print(time.time(), flush=True)
        """,
    )
    took = time.time() - float(ended.out)
    assert ended.code == 0
    assert took < 3.5, "one deadline, not one a handler"
    assert "dropped" in ended.err
    assert len(ended.err.splitlines()) <= 8


def test_dictconfig_again_returns_at_once_with_a_hung_server_and_nothing_is_lost(
    server: FaultyServer,
) -> None:
    server.default = behaviours.hang()
    server._script.append(answer())
    ended = run(
        server,
        """
        configure(timeout=0.5, shutdown_timeout=8)
        log.info("first")
        logging.getLogger().handlers[0].flush()
        log.info("hangs")
        time.sleep(0.2)
        began = time.monotonic()
        configure(timeout=0.5, shutdown_timeout=8)
        print(time.monotonic() - began)
        log.info("after")
        print("ready", flush=True)
        """,
        GO="1",
    )
    # Both handlers were retried until exit; the server hung, so what it got is known to be in each request.
    assert float(ended.out.splitlines()[0]) < 0.5
    assert "first" in messages(server)


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


def test_no_thread_runs_and_httpx_is_not_imported_before_the_first_record(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
        print(threading.active_count(), "httpx" in sys.modules, "ssl" in sys.modules)
        log.info("x")
        handler.flush()
        print(threading.active_count(), "httpx" in sys.modules)
        """,
    )
    assert ended.out.splitlines() == ["1 False False", "3 True"]


def test_flush_tells_whether_everything_arrived(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(timeout=0.5)
        print(handler.flush())
        log.info("x")
        print(handler.flush(), handler.stats().delivered)
        """,
    )
    assert ended.out.split() == ["True", "True", "1"]
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        handler = configure(timeout=0.5, shutdown_timeout=0.5)
        log.info("x")
        began = time.monotonic()
        print(handler.flush(0.3), time.monotonic() - began < 2)
        """,
    )
    assert ended.out.split() == ["False", "True"]


def test_a_record_is_sent_within_flush_interval_and_an_error_at_once(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(flush_interval=0.3)
        log.info("usual")
        time.sleep(1.5)
        print(handler.stats().delivered)
        slow = configure(flush_interval=3600)
        log.info("before"); log.error("urgent")
        time.sleep(1.5)
        print(slow.stats().delivered)
        """,
    )
    assert ended.out.split() == ["1", "2"]


def test_a_storm_of_errors_does_not_become_a_request_for_each(server: FaultyServer) -> None:
    server.default = behaviours.answer()
    ended = run(
        server,
        """
        handler = configure()
        for n in range(3000): log.error("m%d", n)
        handler.flush()
        print(handler.stats().requests)
        """,
    )
    assert len(messages(server)) == 3000
    assert int(ended.out) < 300


def test_a_forked_child_ships_its_own_records_and_none_of_its_parents(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(flush_interval=3600)
        log.info("parent before")
        children = []
        for n in range(4):
            pid = os.fork()
            if not pid:
                assert handler.stats().accepted == 0
                log.info("child %d", n)
                sys.exit(0 if handler.flush() and handler.stats().delivered == 1 else 1)
            children.append(pid)
        print([os.waitpid(pid, 0)[1] for pid in children])
        log.info("parent after")
        """,
    )
    assert ended.out.strip() == "[0, 0, 0, 0]", ended.err
    assert ended.seconds < 4, "no child waits for what is its parent's"
    assert sorted(messages(server)) == sorted(
        ["parent before", "parent after", *(f"child {number}" for number in range(4))]
    )


def test_forks_under_load_neither_hang_nor_repeat_a_record(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(batch_size=50)
        log.info("warm"); handler.flush()
        stop = False
        def work(name):
            n = 0
            while not stop:
                n += 1
                log.info("%s-%d", name, n)
                time.sleep(0.0002)
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads: thread.start()
        for n in range(30):
            pid = os.fork()
            if not pid:
                log.info("child-%d", n)
                ok = handler.flush(10)
                os._exit(0 if ok else 1)
            _, status = os.waitpid(pid, 0)
            assert status == 0, status
        stop = True
        for thread in threads: thread.join()
        """,
    )
    assert ended.code == 0, ended.err
    found = messages(server)
    assert len(found) == len(set(found))
    assert {f"child-{number}" for number in range(30)} <= set(found)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_drains_at_its_end(server: FaultyServer, method: str, tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        PRELUDE
        + textwrap.dedent(
            f"""
            def work(number):
                if "{method}" != "fork":
                    configure(flush_interval=3600)
                log.info("child %d", number)

            if __name__ == "__main__":
                context = multiprocessing.get_context("{method}")
                configure(flush_interval=3600)
                log.info("parent")
                children = [context.Process(target=work, args=(number,)) for number in range(3)]
                for child in children: child.start()
                for child in children: child.join()
                print([child.exitcode for child in children])
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SERVER": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "[0, 0, 0]", done.stderr
    assert sorted(messages(server)) == ["child 0", "child 1", "child 2", "parent"]


def test_the_senders_own_http_client_does_not_feed_the_handler(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(flush_interval=0.05)
        logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
        logging.getLogger("httpx").setLevel("DEBUG")
        log.info("x")
        handler.flush()
        time.sleep(0.5)
        handler.flush()
        print("requests:", handler.stats().requests)
        """,
    )
    assert messages(server) == ["x"]
    assert "HTTP Request" not in ended.out
    assert "requests: 1" in ended.out


def test_logging_in_the_middle_of_our_own_code_neither_hangs_nor_recurses(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(max_queue_size=50, batch_size=10)

        class Chatty:
            def __repr__(self):
                log.info("from repr", extra={"again": self})
                return "<chatty>"

        class Loud:
            def __del__(self):
                log.info("from __del__")

        gc.callbacks.append(lambda phase, info: log.info("from gc"))
        signal.signal(signal.SIGALRM, lambda *_: log.info("from a signal"))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        gc.set_threshold(50)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            log.info("usual", extra={"thing": Chatty(), "cycle": [Loud()]})
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.callbacks.clear()
        stats = handler.stats()
        print(handler.flush(20))
        stats = handler.stats()
        print(stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.dead_lettered + stats.pending)
        """,
    )
    assert ended.code == 0, ended.err
    assert ended.out.split() == ["True", "True"]
    assert {"usual", "from repr", "from __del__", "from gc", "from a signal"} <= set(messages(server))


def test_stderr_that_is_gone_stops_nobody(server: FaultyServer) -> None:
    server._script.extend([answer(503)])
    run(
        server,
        "configure()\nsys.stderr.close(); sys.stderr = None\nlog.info('x')\nlogging.getLogger().handlers[0].flush(4)",
    )
    assert messages(server) == ["x"]


def test_a_fork_in_the_middle_of_the_import_of_the_http_client_can_send(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
        log.error("parent")
        while "httpx" not in sys.modules: time.sleep(0.0002)
        pid = os.fork()
        if not pid:
            log.info("child")
            os._exit(0 if handler.flush(5) else 1)
        print(os.waitpid(pid, 0)[1])
        """,
    )
    assert ended.out.strip() == "0", ended.err
    assert sorted(messages(server)) == ["child", "parent"]


@pytest.mark.parametrize("where", ["a signal handler", "a finalizer"])
def test_the_first_record_of_all_may_interrupt_something(server: FaultyServer, where: str) -> None:
    act = {
        "a signal handler": "signal.signal(10, lambda *_: log.error('first')); signal.raise_signal(10)",
        "a finalizer": "type('Loud', (), {'__del__': lambda self: log.error('first')})()",
    }[where]
    run(server, f"handler = configure()\n{act}\nprint(handler.flush(5))\nos._exit(0)")
    assert messages(server) == ["first"]


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


def test_records_that_are_still_in_the_queue_at_the_deadline_are_told_of(server: FaultyServer) -> None:
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        import logcollector_handler.delivery.listener as listener
        handler = configure(shutdown_timeout=0.3, batch_size=10)
        encode = listener.encode_lines
        def slowly(*arguments):
            time.sleep(0.2)
            return encode(*arguments)
        listener.encode_lines = slowly
        for n in range(1000): log.info("m%d", n)
        from logcollector_handler.delivery import lifecycle
        lifecycle.drain()
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
        first = configure(shutdown_timeout=1, timeout=30)
        for _ in range(3):
            log.addHandler(first.__class__(server_url=os.environ["SERVER"], shutdown_timeout=1, timeout=30))
        print(time.time(), flush=True)
        """,
    )
    assert time.time() - float(ended.out) < 3


def test_block_drops_nothing_while_many_threads_wait(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        sys.setswitchinterval(1e-5)
        handler = configure(overflow="block", max_queue_size=20, batch_size=10)
        threads = [threading.Thread(target=lambda: [log.info("x") for _ in range(200)]) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(handler.flush(20), dict(handler.stats().dropped), handler.stats().delivered)
        """,
    )
    assert ended.out.strip() == "True {} 3200", ended.err


def test_what_the_application_logs_in_our_threads_is_shipped(server: FaultyServer) -> None:
    """The garbage collector runs finalizers where it happens to run, also in the sender's thread."""
    ended = run(
        server,
        """
        handler = configure()
        from logcollector_handler.delivery.guards import own_work
        with own_work():
            log.info("a finalizer's")
            logging.getLogger("httpcore.http11").debug("the client's")
        print(handler.flush())
        """,
    )
    assert ended.out.strip() == "True"
    assert messages(server) == ["a finalizer's"]
