"""A logger on which storms of records happen, a handler that keeps what passes, and a timer that a test runs itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("storms")


class Kept(logging.Handler):
    """Keeps the records that it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class FakeTimer:
    """A timer that runs when the test says so."""

    made: list[FakeTimer]

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call, self.daemon = seconds, call, False
        self._lives = False
        self.made.append(self)

    def start(self) -> None:
        assert self.daemon
        self._lives = True

    def is_alive(self) -> bool:
        return self._lives


def storm(count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        log.error("disk %d is full", number)
