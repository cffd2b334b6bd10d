"""The life of a handler in real processes: threads, flush, re-entrancy, imports; not its end, and not forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration


def test_no_thread_runs_and_little_is_imported_before_the_first_record(
    server: FaultyServer,
) -> None:
    ended = run(
        server,
        """
        handler = configure()
        print(threading.active_count(), "httpx" in sys.modules, "ssl" in sys.modules)
        print([name for name in ("otlp", "ndjson", "masked") if f"logcollector_handler.wire.{name}" in sys.modules])
        log.info("x")
        handler.flush()
        print(threading.active_count(), "httpx" in sys.modules)
        """,
    )
    assert ended.out.splitlines() == ["1 False False", "[]", "3 True"]


def test_flush_tells_whether_everything_arrived(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
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
        handler = configure(timeout=120, shutdown_timeout=120)
        log.info("x")
        began = time.monotonic()
        print(handler.flush(0.3), time.monotonic() - began < 60, flush=True)
        os._exit(0)
        """,
    )
    assert ended.out.split() == ["False", "True"]


def test_a_record_is_sent_within_flush_interval_and_an_error_at_once(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        def wait_for(holds):
            deadline = time.monotonic() + 60
            while not holds() and time.monotonic() < deadline:
                time.sleep(0.05)

        handler = configure(flush_interval=0.3)
        log.info("usual")
        wait_for(lambda: handler.stats().delivered)
        print(handler.stats().delivered)
        slow = configure(flush_interval=3600)
        log.info("before"); log.error("urgent")
        wait_for(lambda: slow.stats().delivered)
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


@pytest.mark.parametrize("durability", ["memory", "record"])
def test_logging_in_the_middle_of_our_own_code_neither_hangs_nor_recurses(
    server: FaultyServer, durability: str, tmp_path: Path
) -> None:
    settings = {"spool_dir": str(tmp_path), "durability": "record"} if durability == "record" else {}
    ended = run(
        server,
        f"SETTINGS = {settings!r}\n"
        """
handler = configure(max_queue_size=50, batch_size=10, **SETTINGS)

class Chatty:
    def __repr__(self):
        log.info("from repr", extra={"again": self})
        return "<chatty>"

class Loud:
    def __del__(self):
        log.info("from __del__")

gc.callbacks.append(lambda phase, info: log.info("from gc"))
signal.signal(signal.SIGALRM, lambda *_: log.info("from a signal"))
# Not more often: where a call takes long, signals would leave the program no time for anything else.
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
gc.set_threshold(50)
end = time.monotonic() + 2
while time.monotonic() < end:
    log.info("usual", extra={"thing": Chatty(), "cycle": [Loud()]})
signal.setitimer(signal.ITIMER_REAL, 0)
gc.callbacks.clear()
stats = handler.stats()
print(handler.flush(60))
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
        "configure()\nsys.stderr.close(); sys.stderr = None\nlog.info('x')\nlogging.getLogger().handlers[0].flush(60)",
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
            os._exit(0 if handler.flush(60) else 1)
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
    run(server, f"handler = configure()\n{act}\nprint(handler.flush(60))\nos._exit(0)")
    assert messages(server) == ["first"]


def test_block_drops_nothing_while_many_threads_wait(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        sys.setswitchinterval(1e-5)
        handler = configure(overflow="block", max_queue_size=20, batch_size=10)
        threads = [threading.Thread(target=lambda: [log.info("x") for _ in range(200)]) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(handler.flush(60), dict(handler.stats().dropped), handler.stats().delivered)
        """,
    )
    assert ended.out.strip() == "True {} 3200", ended.err


def test_what_the_application_logs_in_our_threads_is_shipped(server: FaultyServer) -> None:
    """The garbage collector runs finalizers where it happens to run, also in the sender's thread."""
    ended = run(
        server,
        """
        handler = configure()
        from logcollector_handler.delivery.process import own_work
        with own_work():
            log.info("a finalizer's")
            logging.getLogger("httpcore.http11").debug("the client's")
        print(handler.flush())
        """,
    )
    assert ended.out.strip() == "True"
    assert messages(server) == ["a finalizer's"]


def test_a_record_without_a_level_raises_nothing_into_the_application(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
        class Odd(int):
            def __ge__(self, other): raise ZeroDivisionError
        for level in (None, "INFO", Odd(20)):
            record = logging.makeLogRecord({"msg": "odd", "levelno": level})
            if level is None: del record.levelno
            handler.handle(record)
        print(handler.flush())
        """,
    )
    assert ended.out.strip() == "True", ended.err
    assert messages(server) == ["odd"] * 3
