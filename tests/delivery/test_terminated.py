"""The signal handler that drains, without signals: what it installs, sends and leaves alone."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery import terminated
from logcollector_handler.delivery.terminated import DrainingHandler

TERM = signal.SIGTERM


class Signals:
    """Stands for the signals of the process: what is installed, and what is sent."""

    def __init__(self) -> None:
        self.handlers: dict[int, Any] = {TERM: signal.SIG_DFL}
        self.sent: list[int] = []

    def signal(self, number: int, handler: Any) -> None:
        self.handlers[number] = handler

    def send(self, number: int) -> None:
        self.sent.append(number)
        handler = self.handlers[number]
        if callable(handler):
            handler(number, None)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    """The system has no thread left, so that everything is done in the handler itself."""
    signals = Signals()
    monkeypatch.setattr(signal, "signal", signals.signal)
    monkeypatch.setattr(signal, "getsignal", signals.handlers.get)
    monkeypatch.setattr(terminated, "_send", signals.send)
    monkeypatch.setattr(terminated, "_start_thread", lambda target: False)
    monkeypatch.setattr(terminated, "_ours", set())
    return signals


def test_the_process_drains_and_dies_of_the_signal(signals: Signals) -> None:
    DrainingHandler(signal.SIG_DFL).handle(TERM, None)
    assert ending.is_exiting()
    assert (signals.handlers[TERM], signals.sent) == (signal.SIG_DFL, [TERM])


def test_process_1_ends_with_128_and_the_signal(signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", statuses.append)
    DrainingHandler(signal.SIG_DFL).handle(TERM, None)
    assert statuses == [128 + 15]


def test_a_signal_in_the_middle_of_the_drain_acts_when_that_is_over(signals: Signals) -> None:
    draining = DrainingHandler(signal.SIG_DFL)
    told: list[str] = []

    def work() -> None:
        draining.handle(TERM, None)
        told.append("the drain goes on")
        assert signals.sent == []

    signals.handlers[TERM] = draining.handle
    ending.drain()
    ending.hold(work)
    assert told == ["the drain goes on"]
    assert signals.sent == [TERM, TERM]
    assert signals.handlers[TERM] is signal.SIG_DFL


def test_a_signal_that_another_thread_hears_of_first_is_left_to_that(signals: Signals) -> None:
    draining = DrainingHandler(signal.SIG_DFL, is_heard=True)
    draining._under_way.add(os.getpid())
    draining.handle(TERM, None)
    assert signals.sent == []
    draining._done.add(os.getpid())
    draining.handle(TERM, None)
    assert (signals.handlers[TERM], signals.sent) == (signal.SIG_DFL, [TERM])


def test_no_handler_of_ours_is_installed_in_front_of_another(signals: Signals) -> None:
    terminated.install(TERM, signal.SIG_DFL)
    first = signals.handlers[TERM]
    terminated.install(TERM, first)
    assert signals.handlers[TERM] is first
