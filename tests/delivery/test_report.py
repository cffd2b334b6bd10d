"""The one way out for internal trouble: rate limited, counted, and never in the way."""

from __future__ import annotations

import logging
import sys

import pytest

from logcollector_handler.delivery.report import REPEAT_AFTER, Reporter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_kind_of_trouble_is_said_once_a_minute_and_then_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = Reporter(clock)
    for _ in range(5):
        reporter.say("away", "the server is away")
    assert capsys.readouterr().err == "logcollector-handler: the server is away\n"
    clock.now += REPEAT_AFTER
    reporter.say("away", "still away")
    assert capsys.readouterr().err == ("logcollector-handler: still away (4 more like this since the last message)\n")


def test_kinds_do_not_hold_each_other_back(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(Clock())
    reporter.say("a", "one")
    reporter.say("b", "two")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_losses_are_added_up_and_none_is_left_out_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = Reporter(clock)
    reporter.lost({"the queue was full": 1})
    reporter.lost({"the queue was full": 5, "the buffer was full": 2})
    reporter.lost({"the queue was full": 9, "the buffer was full": 2})
    clock.now += REPEAT_AFTER
    reporter.lost({"the queue was full": 10, "the buffer was full": 2})
    reporter.lost({"the queue was full": 11, "the buffer was full": 4})
    reporter.lost({"the queue was full": 11, "the buffer was full": 4}, at_last=True)
    assert capsys.readouterr().err.splitlines() == [
        "logcollector-handler: 1 record was dropped: the queue was full",
        "logcollector-handler: 2 records were dropped: the buffer was full",
        "logcollector-handler: 9 records were dropped: the queue was full",
        "logcollector-handler: 2 records were dropped: the buffer was full",
        "logcollector-handler: 1 record was dropped: the queue was full",
    ]


def test_what_one_thread_counted_before_another_that_reported_first_is_not_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = Reporter(Clock())
    reporter.lost({"the queue was full": 6}, at_last=True)
    reporter.lost({"the queue was full": 5}, at_last=True)
    reporter.lost({"the queue was full": 7}, at_last=True)
    assert capsys.readouterr().err.splitlines() == [
        "logcollector-handler: 6 records were dropped: the queue was full",
        "logcollector-handler: 1 record was dropped: the queue was full",
    ]


class Broken:
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise ValueError("closed")


@pytest.mark.parametrize("stderr", [None, Broken()])
def test_a_stderr_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, stderr: object) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(sys, "__stderr__", stderr)
    Reporter(Clock()).say("a", "one")


def test_a_stderr_that_is_a_logger_is_gone_round(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """As Celery's: what is written to it would come back as a record."""

    class Logging:
        def write(self, text: str) -> int:
            logging.getLogger("redirected").warning(text)
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Logging())
    with open(2, "w", closefd=False) as stderr:
        monkeypatch.setattr(sys, "__stderr__", stderr)
        Reporter(Clock()).say("a", "one")
    assert caplog.records == []
    assert capfd.readouterr().err == "logcollector-handler: one\n"
