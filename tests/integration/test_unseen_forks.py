"""Forks in C, of which Python is not told: each process ships its own records, once, and nothing of another's.

A thread that waits for the interpreter's lock at such a fork makes the child hang, whatever it does: CPython goes on to
wait for that thread there. So these programs fork while their threads rest.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration

#: `fork` calls none of Python's hooks, and keeps the interpreter's lock, as uWSGI does.
FORK = """
import ctypes
from logcollector_handler.delivery.spool import look
# What a process leaves behind is found sooner than usual, but its threads are at rest most of the time: a child that is
# forked in C while one waits for the interpreter hangs, whatever this package does.
look.LOOK_EVERY = 2.0

def fork():
    if handler._pipelines:
        handler.flush(60)
        # The main thread does without the interpreter's lock while it sleeps, and the others come to rest.
        time.sleep(0.3)
    return ctypes.PyDLL(None).fork()

def child(*steps):
    pid = fork()
    if not pid:
        for step in steps:
            step()
    return pid

def adds_up():
    stats = handler.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.dead_lettered + stats.pending, stats
    return stats

def wait(pid):
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
"""


def settings(durability: str, spool: Path) -> str:
    return "" if durability == "memory" else f"spool_dir={str(spool)!r}, durability={durability!r}, "


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
@pytest.mark.parametrize("first", [True, False], ids=["after the first record", "before the first record"])
def test_children_of_a_fork_in_c_ship_what_they_log_and_their_parent_goes_on(
    server: FaultyServer, tmp_path: Path, durability: str, first: bool
) -> None:
    ended = run(
        server,
        f"""
        {FORK.replace(chr(10), chr(10) + " " * 8)}
        handler = configure({settings(durability, tmp_path / "spool")}flush_interval=3600)
        expected = {int(first)}
        if expected:
            log.info("parent before")

        def logs(name):
            for n in range(20):
                log.info("%s-%d", name, n)
            assert adds_up().accepted == 20, handler.stats()

        def flushes():
            assert handler.flush(60), handler.stats()
            assert adds_up().delivered == 20, handler.stats()

        def starts_anew():
            # Not asked for by the others, whose first sign of life is a record.
            assert handler.flush() and handler.stats().accepted == 0, handler.stats()

        def has_a_child():
            wait(child(lambda: logs("grandchild"), flushes, lambda: os._exit(0)))

        def is_asked_first():
            wait(child(starts_anew, lambda: logs("asked"), flushes, lambda: os._exit(0)))

        wait(child(lambda: logs("ends at once"), flushes, lambda: os._exit(0)))
        wait(child(lambda: os._exit(0)))
        wait(child(has_a_child, lambda: logs("child"), flushes, lambda: os._exit(0)))
        wait(child(is_asked_first, lambda: os._exit(0)))
        if not (pid := child(lambda: logs("exits"))):
            sys.exit()
        wait(pid)
        # It never logs, and its end in Python drains whatever it believes to be its own.
        if not (pid := child()):
            sys.exit()
        wait(pid)
        logs_after = 20
        for n in range(logs_after):
            log.info("parent after-%d", n)
        assert handler.flush(60), handler.stats()
        assert adds_up().delivered == expected + logs_after, handler.stats()
        """,
    )
    assert (ended.code, ended.err) == (0, "")
    names = ["ends at once", "grandchild", "child", "asked", "exits", "parent after"]
    expected = [f"{name}-{number}" for name in names for number in range(20)] + ["parent before"] * first
    assert Counter(messages(server)) == Counter(expected)


def test_what_a_child_of_a_fork_in_c_leaves_in_a_file_is_sent_by_its_parent(
    server: FaultyServer, tmp_path: Path
) -> None:
    ended = run(
        server,
        f"""
        {FORK.replace(chr(10), chr(10) + " " * 8)}
        handler = configure({settings("record", tmp_path / "spool")}flush_interval=3600)
        log.info("parent before")
        if not (pid := fork()):
            for n in range(20):
                log.info("child-%d", n)
            os._exit(0)
        wait(pid)
        log.info("parent after")
        deadline = time.monotonic() + 60
        while handler.stats().adopted.get("delivered") != 20 and time.monotonic() < deadline:
            handler.flush(1)
            time.sleep(0.05)
        print(adds_up().delivered, dict(handler.stats().adopted))
        """,
    )
    assert (ended.out, ended.err) == ("2 {'delivered': 20}\n", "")
    expected = ["parent before", "parent after", *(f"child-{number}" for number in range(20))]
    assert Counter(messages(server)) == Counter(expected)


def test_a_dropped_handler_sends_nothing_of_its_parent_in_a_child_of_a_fork_in_c(server: FaultyServer) -> None:
    ended = run(
        server,
        f"""
        {FORK.replace(chr(10), chr(10) + " " * 8)}
        handler = configure(flush_interval=3600)
        log.info("parent")
        if not (pid := fork()):
            logging.getLogger().removeHandler(handler)
            del handler
            gc.collect()
            time.sleep(0.2)
            sys.exit()
        wait(pid)
        """,
    )
    assert (ended.code, ended.err) == (0, "")
    assert messages(server) == ["parent"]


def test_a_rate_limit_reports_in_a_child_of_a_fork_in_c_what_the_child_held_back(server: FaultyServer) -> None:
    ended = run(
        server,
        f"""
        {FORK.replace(chr(10), chr(10) + " " * 8)}
        from logcollector_handler import RateLimitFilter
        handler = configure(flush_interval=3600)
        handler.addFilter(RateLimitFilter(1, 3600))
        def storm(times):
            for n in range(times):
                log.info("storm")
        storm(11)
        if not (pid := fork()):
            storm(3)
            sys.exit()
        wait(pid)
        """,
    )
    assert (ended.code, ended.err) == (0, "")
    reports = [entry["metadata"]["held_back"] for entry in server.stored if "held back" in entry["message"]]
    assert sorted(reports) == [2, 10]
    assert messages(server).count("storm") == 2
