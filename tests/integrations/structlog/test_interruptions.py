"""An exception out of a signal handler, at every point of a call that goes through the processor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import structlog

from logcollector_handler import handler as handlers
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from tests.delivery.interrupted import Process, at_every_point, some
from tests.delivery.interrupting import Alarm, Interrupt


@pytest.mark.parametrize("error", [Alarm, Interrupt])
def test_a_call_through_the_processor_may_be_interrupted_anywhere(
    error: type[BaseException], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "connect", lambda settings, _: Process.networks[settings.service])
    loggers: list[Callable[..., object]] = []

    def prepare(process: Process) -> None:
        processor = LogCollectorProcessor(process.handler)
        loggers[:] = [structlog.wrap_logger(structlog.ReturnLogger(), processors=[processor, lambda *_: ""]).info]
        some(process)

    def check(process: Process, interrupted: str | None, place: str) -> None:
        loggers[0]("whole")
        process.logged.append("whole")
        process.check(interrupted, place)

    def make() -> Process:
        return Process("memory", tmp_path)  # type: ignore[arg-type]  # not used

    assert at_every_point(make, error, prepare, lambda _: loggers[0]("this one", order=7), "this one", check) > 20
