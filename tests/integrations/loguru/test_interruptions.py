"""An exception out of a signal handler, at every point of a message that goes through the sink."""

from __future__ import annotations

import pytest
from loguru import logger

from logcollector_handler import handler as handlers
from logcollector_handler.integrations.loguru import LogCollectorSink
from tests.delivery.interrupted import Process, at_every_point, some
from tests.delivery.interrupting import Alarm, Interrupt


@pytest.mark.parametrize("error", [Alarm, Interrupt])
def test_a_message_may_be_interrupted_anywhere(
    error: type[BaseException], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "connect", lambda settings, _: Process.networks[settings.service])

    def prepare(process: Process) -> None:
        logger.remove()
        logger.add(LogCollectorSink(process.handler), catch=False, format="{message}")
        some(process)

    def check(process: Process, interrupted: str | None, place: str) -> None:
        logger.info("whole")
        process.logged.append("whole")
        logger.configure(handlers=[])
        process.check(interrupted, place)

    def make() -> Process:
        return Process("memory", tmp_path)  # type: ignore[arg-type]  # not used

    assert at_every_point(make, error, prepare, lambda _: logger.bind(order=7).info("this one"), "this one", check) > 20
