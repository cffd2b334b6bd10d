"""An exception out of a signal handler, at every point of a call that comes when the process ends.

Then the calling thread itself does the work of the listener and the sender.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from logcollector_handler.delivery import exit as ending
from tests.delivery.interrupted import Process, at_every_point, nothing, some
from tests.delivery.interrupting import FOR_EVER, Alarm, Interrupt

Make = Callable[..., Process]


def check(process: Process, interrupted: str | None, place: str) -> None:
    process.check_state(place)
    process.log_whole("after")
    assert process.handler.flush(FOR_EVER), f"the handler is dead after an exception at {place}"
    process.handler.close()
    # The record of the interrupted call is not counted as delivered if the exception came just before that.
    process.add_up(interrupted, place, unsettled=1)


def ended(process: Process, before: Callable[[Process], None]) -> None:
    ending._exiting = False
    ending._live.clear()
    before(process)
    # After an error of its own the sender rests for a second.
    process.pipeline.sender.wait = lambda seconds: None  # type: ignore[method-assign]
    ending.drain()


@pytest.mark.parametrize("error", [Alarm, Interrupt])
@pytest.mark.parametrize("before", [nothing, some], ids=["first call", "later call"])
@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_a_logging_call_after_the_end_may_be_interrupted_anywhere(
    make: Make, durability: str, before: Callable[[Process], None], error: type[BaseException]
) -> None:
    def call(process: Process) -> None:
        process.log("this one")

    prepare = partial(ended, before=before)
    assert at_every_point(partial(make, durability), error, prepare, call, "this one", check) > 100
