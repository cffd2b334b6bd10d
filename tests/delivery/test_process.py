"""What is known of the process: forks that Python tells of, forks that it does not see, and who sets something up."""

from __future__ import annotations

import _thread
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from logcollector_handler.delivery import process
from tests.delivery.interrupting import Interrupt, Points

#: The id of a process that this one only seems to be.
CHILD = 1 << 30


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a test does to the state of this process stays."""
    monkeypatch.setattr(process, "_pid", os.getpid())
    monkeypatch.setattr(process, "_in_child", [])
    monkeypatch.setattr(process, "own_threads", set())
    for name in ("_dropping", "_setting_up", "_waited_for"):
        monkeypatch.setattr(process, name, {})
    yield
    # The ids are real again before anything asks for them.
    monkeypatch.undo()


@pytest.fixture
def become_a_child(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As a fork in C: the process has another id, and nobody was told."""
    return lambda: monkeypatch.setattr(os, "getpid", lambda: CHILD)


def test_a_child_drops_what_it_inherited_once_when_it_is_noticed(become_a_child: Callable[[], None]) -> None:
    dropped: list[str] = []
    process.at_fork(lambda: dropped.append("one"))
    process.at_fork(lambda: dropped.append("two"))
    process.own_threads.add(7)
    assert process.current_pid() == os.getpid()
    assert (dropped, process.own_threads) == ([], {7})
    become_a_child()
    assert [process.current_pid() for _ in range(3)] == [CHILD] * 3
    assert (dropped, process.own_threads) == (["one", "two"], set())


def test_an_exception_at_any_point_of_it_leaves_the_rest_to_the_next_call(
    monkeypatch: pytest.MonkeyPatch, become_a_child: Callable[[], None]
) -> None:
    parent = os.getpid()
    dropped: list[str] = []
    process.at_fork(lambda: dropped.append("one"))
    process.at_fork(lambda: dropped.append("two"))
    become_a_child()
    for chosen in itertools.count():
        monkeypatch.setattr(process, "_pid", parent)
        process._dropping.clear()
        dropped.clear()
        points = Points(chosen, Interrupt)
        points.run(process.current_pid)
        process.current_pid()
        assert {"one", "two"} <= set(dropped), points.place
        with ThreadPoolExecutor() as other:
            assert other.submit(process._dropping[CHILD].acquire, timeout=60).result(), points.place
        if not points.place:
            break
    assert chosen > 5


def test_what_a_signal_handler_makes_meanwhile_is_not_dropped(become_a_child: Callable[[], None]) -> None:
    made = ["inherited"]

    def interrupted() -> None:
        """A signal handler that logs, and so makes state of the child, interrupts this one once."""
        if made == ["inherited"]:
            made.clear()
            process.current_pid()
            made.append("of the child")

    process.at_fork(interrupted)
    process.at_fork(made.clear)
    become_a_child()
    process.current_pid()
    assert made == ["of the child"]


def test_a_fork_that_python_is_told_of_afterwards_only_is_one(become_a_child: Callable[[], None]) -> None:
    dropped: list[str] = []
    process.at_fork(lambda: dropped.append("one"))
    become_a_child()
    process._after_fork_in_child()
    process.current_pid()
    assert dropped == ["one"]


def test_a_child_with_the_id_of_its_parent_drops_what_it_inherited() -> None:
    """In another PID namespace both can be process 1."""
    dropped: list[str] = []
    process.at_fork(lambda: dropped.append("one"))
    process._before_fork()
    process._after_fork_in_child()
    assert dropped == ["one"]


def test_a_fork_waits_for_another_thread_that_is_setting_something_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SETTING_UP_LIMIT", 60.0)
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def set_up() -> None:
        with process.setting_up():
            begun.set()
            go_on.wait(60)
            order.append("set up")

    def fork() -> None:
        process._before_fork()
        order.append("forked")
        process._after_fork()

    threads = [threading.Thread(target=set_up), threading.Thread(target=fork)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    while not (process._waited_for or order):
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert order == ["set up", "forked"]
    fork()


def test_a_thread_that_is_setting_something_up_may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that starts a process, say."""
    monkeypatch.setattr(process, "_SETTING_UP_LIMIT", -1)
    with process.setting_up():
        process._before_fork()
        process._after_fork()
    process._before_fork()
    process._after_fork()


def test_after_a_fork_that_waited_in_vain_others_can_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SETTING_UP_LIMIT", 0.0)
    forked: list[str] = []

    def fork() -> None:
        process._before_fork()
        process._after_fork()
        forked.append("forked")

    with process.setting_up():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert forked == ["forked"]
    with process.setting_up():
        pass


def uwsgi(monkeypatch: pytest.MonkeyPatch, worker: int, *pids: int, **options: object) -> None:
    workers = [{"id": number, "pid": pid} for number, pid in enumerate(pids, 1)]
    module = SimpleNamespace(worker_id=lambda: worker, workers=lambda: workers, opt=options)
    monkeypatch.setitem(sys.modules, "uwsgi", module)


@pytest.mark.parametrize(
    ("worker", "pids", "waits", "is_first"),
    [(0, [0, 0], True, True), (0, [7, 0], True, True), (0, [7, 8], False, True), (1, [7, 0], False, False)],
    ids=["before it forks", "while it forks", "after it has forked", "in a worker"],
)
def test_threads_wait_until_uwsgi_has_forked_its_workers(
    monkeypatch: pytest.MonkeyPatch, worker: int, pids: list[int], waits: bool, is_first: bool
) -> None:
    """What its first process logged before is sent at once, also if that had forked before the thread came to wait."""
    uwsgi(monkeypatch, worker, *pids)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            uwsgi(monkeypatch, 0, 7, 8)

    monkeypatch.setattr(time, "sleep", sleep)
    assert process.let_settle(lambda: False) is is_first
    assert len(slept) == (3 if waits else 0)
    # A fork in the middle of a look would make a worker that hangs.
    assert min(slept, default=1.0) >= 1.0


def test_a_call_that_has_a_thread_started_gives_it_time_to_wait_if_uwsgi_is_about_to_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    process.let_others_wait()
    uwsgi(monkeypatch, 0, 7, 8)
    process.let_others_wait()
    assert slept == [], "this is not uWSGI, or it has forked"
    uwsgi(monkeypatch, 0, 0, 0)
    process.let_others_wait()
    assert 0 < sum(slept) < 0.1


def test_the_first_process_of_uwsgi_is_not_patched_and_waits_for_its_forks_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "gevent.monkey", raising=False)
    uwsgi(monkeypatch, 0, 7, 8, **{"gevent-monkey-patch": True})
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    process.let_settle(lambda: False)


def test_nobody_waits_for_workers_that_never_come_or_while_somebody_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    uwsgi(monkeypatch, 0, 0)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    process.let_settle(lambda: len(slept) == 2)
    assert len(slept) == 2
    process.let_settle(lambda: False)
    assert 5 < sum(slept) < 15


@pytest.mark.parametrize("patched", [False, True])
def test_threads_wait_for_a_moment_if_gevent_may_be_about_to_patch(
    monkeypatch: pytest.MonkeyPatch, patched: bool
) -> None:
    """Whoever imports `gevent.monkey` usually patches; if not, they start a little later."""
    monkey = SimpleNamespace(is_module_patched=lambda name: patched)
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    process.let_settle(lambda: False)
    assert (sum(slept) == 0) is patched
    assert sum(slept) < 5


def test_threads_wait_until_uwsgi_has_had_gevent_patch_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gevent.monkey", raising=False)
    uwsgi(monkeypatch, 1, 7, **{"gevent-monkey-patch": True})
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            monkeypatch.setitem(sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda name: True))

    monkeypatch.setattr(time, "sleep", sleep)
    process.let_settle(lambda: False)
    assert len(slept) == 3


def test_a_module_that_only_has_the_name_of_uwsgi_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace())
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    process.let_settle(lambda: False)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no masks of signals")
def test_signals_do_not_come_to_threads_of_ours_but_to_greenlets_that_run_in_the_threads_of_others() -> None:
    masks: list[set[int]] = []

    def work(start: object) -> None:
        process.leave_signals_to_others(start)
        inner = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        inner.start()
        inner.join()

    for start in (_thread.start_new_thread, lambda function, arguments: None):
        thread = threading.Thread(target=work, args=(start,))
        thread.start()
        thread.join()
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} <= masks[0]
    assert not masks[1] & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
