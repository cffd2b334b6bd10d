"""An exception out of a signal handler, at every point of the end of the process where one can come.

Python then goes on to end it: records may still come, and `logging.shutdown()` flushes and closes the handler.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.budget import Budget
from tests.delivery.interrupted import Process, at_every_point, nothing, some_that_wait
from tests.delivery.interrupting import FOR_EVER, Alarm, Interrupt

Make = Callable[..., Process]


def drain(process: Process) -> None:
    ending.drain()


def shut_down(process: Process) -> None:
    process.handler.flush()
    process.handler.close()


# On one Python: there are some hundred points, and for each a handler of its own.
@pytest.mark.integration
@pytest.mark.parametrize(
    ("durability", "error"),
    [
        *itertools.product(["memory", "batch", "record"], [Alarm, Interrupt]),
        ("left batch", Alarm),
        ("left record", Interrupt),
    ],
)
@pytest.mark.parametrize(("call", "prepare"), [(drain, some_that_wait), (shut_down, nothing)])
def test_the_end_of_the_process_may_be_interrupted_anywhere(
    make: Make,
    durability: str,
    call: Callable[[Process], None],
    prepare: Callable[[Process], None],
    error: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def live(process: Process) -> None:
        monkeypatch.setattr(ending, "_live", set())
        monkeypatch.setattr(ending, "_exiting", False)
        monkeypatch.setattr(ending, "_budget", Budget())
        prepare(process)
        if call is shut_down:
            ending.drain()
            process.log_whole("after the drain")

    def check(process: Process, interrupted: str | None, place: str) -> None:
        process.check_state(place)
        assert ending._holding == {}, place
        # What Python does after an exception in an exit handler.
        ending.drain()
        process.log_whole("late")
        process.handler.flush(FOR_EVER)
        process.handler.close()
        process.log_whole("after all")
        stored = process.arrived(interrupted, place)
        # What this thread was settling itself, in place of its threads, may stay uncounted.
        stats = process.handler.stats()
        assert stats.delivered + stats.handed_over in range(stored - 3, stored + 1), place
        # A process that has ended keeps no descriptors, and does nothing when its handler is dropped.
        process.pipeline.workers.abandon()
        process.handler._pipelines.clear()

    assert at_every_point(partial(make, durability), error, live, call, None, check) > 10
