"""Faults put into the package on purpose, one for each promise: so that a test can show that the oracle sees them.

What belongs here: breaking the package in a process of the oracle test, before or after it is imported. What does not:
what the oracle must say then; that is `test_oracle_sees.py`.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
from collections.abc import Callable
from typing import Any, Final

_FULL: Final = (errno.ENOSPC, errno.EFBIG)


def _grant_every_lock() -> None:
    """Every process takes over the files of the others, whether these live or are stopped."""
    for name in ("lockf", "flock", "fcntl"):
        setattr(fcntl, name, lambda *arguments: 0)


def _believe_a_full_disk() -> None:
    """What a full disk does not take counts as written."""

    def believing(write: Callable[..., int]) -> Callable[..., int]:
        def written(descriptor: int, data: bytes, *more: int) -> int:
            try:
                write(descriptor, data, *more)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            return len(data)

        return written

    os.write = believing(os.write)
    os.pwrite = believing(os.pwrite)


def _keep_the_process_id() -> None:
    """A fork that Python does not see goes unnoticed."""
    mine = os.getpid()

    def getpid() -> int:
        return mine

    def forked() -> None:
        nonlocal mine
        mine = real()

    real, os.getpid = os.getpid, getpid
    os.register_at_fork(after_in_child=forked)


def _at_alarms(instead: Callable[[Callable[[], None]], None], *, for_good: bool) -> Callable[[], None]:
    def sabotage() -> None:
        from logcollector_handler import LogCollectorHandler

        emit = LogCollectorHandler.emit
        dead = False

        def emit_until_interrupted(self: LogCollectorHandler, record: Any) -> None:
            nonlocal dead
            if dead:
                return
            try:
                emit(self, record)
            except BaseException:
                dead = for_good
                instead(lambda: emit(self, record))
                raise

        LogCollectorHandler.emit = emit_until_interrupted  # type: ignore[method-assign]

    return sabotage


def _do_twice(call: Callable[[], None]) -> None:
    call()
    call()


def _drop_lone_errors() -> None:
    """A batch that a single error closed is lost while others wait to be sent."""
    from logcollector_handler.delivery.listener import BatchListener

    handle = BatchListener.handle

    def handle_more_than_one(self: BatchListener, record: Any) -> None:
        if len(record.entries) < 3 and len(self._outbox):
            record.entries.clear()
        handle(self, record)

    BatchListener.handle = handle_more_than_one  # type: ignore[method-assign]


def _classify(wrong: Callable[[Any], str | None]) -> Callable[[], None]:
    def sabotage() -> None:
        sender: Any = importlib.import_module("logcollector_handler.delivery.sender")

        classify = sender.classify

        def classify_wrongly(answer: Any, *, compressed: bool) -> Any:
            verdict = classify(answer, compressed=compressed)
            name = wrong(answer)
            return type(verdict)[name] if name else verdict

        sender.classify = classify_wrongly

    return sabotage


SABOTAGE: Final[dict[str, Callable[[], None]]] = {
    "every lock is granted": _grant_every_lock,
    "a full disk is not noticed": _believe_a_full_disk,
    "the process id never changes": _keep_the_process_id,
    "an alarm ends the handler": _at_alarms(lambda emit: None, for_good=True),
    "an interrupted record is there twice": _at_alarms(_do_twice, for_good=False),
    "small batches are lost": _drop_lone_errors,
    "a gateway's page refuses records": _classify(lambda answer: "REFUSED" if answer.status in (400, 422) else None),
    "a time-out counts as delivered": _classify(lambda answer: "DELIVERED" if answer.status is None else None),
}
