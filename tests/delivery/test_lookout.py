"""The look-out: when there is one, and what it does after its wait. With gevent and forks: `tests/integration`."""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery import lookout
from logcollector_handler.delivery.spool import destination

URL = "http://logs.test:8000"
ID = f"{'0' * 12}-{'a' * 16}-{'0' * 8}"


@pytest.mark.parametrize(
    ("name", "holds"),
    [(f"{ID}.json", True), (f"{ID}{'b' * 16}.0.json.gz", True), (f"{ID}.open", True), (f"{ID[:29]}.lock", False)],
)
def test_only_files_of_batches_are_worth_a_look_out(tmp_path: Path, name: str, holds: bool) -> None:
    directory = tmp_path / destination(URL, "collector")
    directory.mkdir()
    (directory / name).touch()
    assert lookout.holds_batches(str(tmp_path), URL, "collector") is holds
    assert not lookout.holds_batches(str(tmp_path), "http://other.test", "collector"), "another server's"


@pytest.mark.parametrize("spool", ["missing", "file", "file/below", "nul\0"])
def test_a_directory_that_cannot_be_read_holds_nothing(tmp_path: Path, spool: str) -> None:
    (tmp_path / "file").touch()
    assert not lookout.holds_batches(str(tmp_path / spool), URL, "collector")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """What is started as threads; none runs."""
    threads: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda function, arguments: threads.append((function, arguments)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return threads


def test_a_handler_looks_out_only_where_batches_lie(tmp_path: Path, started: list[Any]) -> None:
    LogCollectorHandler(server_url=URL)
    LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path))
    assert started == []
    (tmp_path / destination(URL, "collector")).mkdir()
    (tmp_path / destination(URL, "collector") / f"{ID}.json").touch()
    LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path), deliver=False)
    assert started == [], "it would leave them there"
    LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path), wire="otlp")
    assert started == [], "what lies there is in another format"
    LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path))
    assert len(started) == 1


@pytest.fixture
def handler(tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch) -> LogCollectorHandler:
    """One with a look-out, which has not run yet."""
    monkeypatch.setattr(ending, "_live", set())
    (tmp_path / destination(URL, "collector")).mkdir()
    (tmp_path / destination(URL, "collector") / f"{ID}.json").touch()
    return LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path))


def run(started: list[Any]) -> list[Any]:
    """Run the look-out. Returns what it started."""
    function, arguments = started.pop(0)
    function(*arguments)
    return started


def test_it_starts_delivery_as_a_record_would(handler: LogCollectorHandler, started: list[Any]) -> None:
    (starter,) = run(started)
    assert starter[0] == handler._pipeline.workers._threads._start_threads


def test_it_starts_nothing_if_a_record_has_started_delivery(handler: LogCollectorHandler, started: list[Any]) -> None:
    before = handler._pipeline
    assert run(started) == []
    assert handler._pipeline is before


def test_it_starts_nothing_for_a_handler_that_was_closed(handler: LogCollectorHandler, started: list[Any]) -> None:
    handler.close()
    assert run(started) == []


def test_it_starts_nothing_for_a_handler_that_was_dropped(
    tmp_path: Path, handler: LogCollectorHandler, started: list[Any]
) -> None:
    started.clear()
    LogCollectorHandler(server_url=URL, spool_dir=str(tmp_path))
    assert run(started) == []


def test_it_starts_nothing_at_the_end_of_the_process(
    handler: LogCollectorHandler, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_exiting", True)
    assert run(started) == []
    assert handler._pipelines == {}


def test_it_starts_nothing_in_a_forked_child_where_it_is_a_greenlet(
    handler: LogCollectorHandler, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1 << 30)
    assert run(started) == []
    assert handler._pipelines == {}


class Hub:
    """As gevent's, for the thread with this ident."""

    def __init__(self, thread: int) -> None:
        self.thread_ident = thread
        self.loop = self
        self.called: list[Any] = []

    def run_callback_threadsafe(self, *call: Any) -> None:
        self.called.append(call)


def test_in_a_process_that_was_patched_meanwhile_the_hub_of_its_thread_starts_delivery(
    handler: LogCollectorHandler, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    function, arguments = started.pop()
    hubs: list[Hub] = []
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            hubs.extend([Hub(-1), Hub(threading.get_ident())])

    patched = lambda *_: pytest.fail("it was started in the look-out's own thread")  # noqa: E731
    monkeypatch.setattr(_thread, "start_new_thread", patched)
    monkeypatch.setitem(sys.modules, "gevent.hub", type("module", (), {"Hub": Hub}))
    function(*arguments[:-1], sleep)
    assert len(slept) == 3, "until there is a hub"
    assert [hub.called for hub in hubs] == [[], [(patched, arguments[0], ())]]
