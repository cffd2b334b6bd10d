"""Children of multiprocessing and of Celery: what is done so that their end drains."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.util
import os
import signal
import sys
import threading
from types import SimpleNamespace

import pytest

from logcollector_handler.delivery import children
from logcollector_handler.delivery import exit as ending
from tests.delivery.test_exit import Watched


def test_a_child_of_multiprocessing_registers_one_finalizer_and_so_does_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a child runs no exit handlers, and begins without the finalizers of its parent."""
    monkeypatch.setattr(children, "install_heard", lambda number: None)
    registered: list[tuple[object, object]] = []

    def finalize(obj: object, callback: object, *, exitpriority: int) -> None:
        registered.append((callback, exitpriority < 0))

    monkeypatch.setattr(multiprocessing.util, "Finalize", finalize)
    children.watch(Watched())
    assert registered == [], "this process ends like others"
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: object())
    for _ in range(2):
        children.watch(Watched())
    assert registered == [(ending.drain, True)]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    children.watch(Watched())
    assert registered == [(ending.drain, True)] * 2


def test_what_logs_while_celerys_signal_is_connected_does_not_come_to_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer, say. Celery's lock is not re-entrant."""
    connected: list[object] = []

    class Signal:
        def connect(self, receiver: object, **_: object) -> None:
            assert not connected, "it would wait for the lock that it holds"
            connected.append(receiver)
            children.watch(Watched())

    monkeypatch.setitem(sys.modules, "celery.signals", SimpleNamespace(worker_process_shutdown=Signal()))
    monkeypatch.setattr(children, "_is_connected", False)
    children.watch(Watched())
    children.watch(Watched())
    assert connected == [children._drain_celery_child]


@pytest.mark.parametrize(
    ("is_child", "action", "installed"),
    [(True, signal.SIG_DFL, True), (True, signal.SIG_IGN, False), (True, print, False), (False, signal.SIG_DFL, False)],
)
def test_sigterm_drains_in_a_child_of_multiprocessing_where_it_has_its_default_action(
    monkeypatch: pytest.MonkeyPatch, is_child: bool, action: object, installed: bool
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(children, "install_heard", calls.append)
    monkeypatch.setattr(children, "_watch_finalizers", lambda: None)
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: object() if is_child else None)
    monkeypatch.setattr(signal, "getsignal", lambda number: action)
    children.watch(Watched())
    assert calls == ([signal.SIGTERM] if installed else [])


def test_in_another_thread_than_the_main_one_no_signal_handler_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(children, "install_heard", calls.append)
    thread = threading.Thread(target=children.watch_sigterm)
    thread.start()
    thread.join()
    assert calls == []
