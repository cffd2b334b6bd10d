"""Two threads at the same handler: one acts while the other is at one certain point of a call."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.delivery.pipelines import PipelineBench

#: Seconds for which a thread that ought to wait for the test is given the chance to go on without it.
CHANCE = 0.2


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    """Have another thread do something in between: it has ended, or waits for the caller, when this returns."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(CHANCE)
    return thread


@pytest.mark.usefixtures("threads")
def test_a_record_whose_call_is_about_to_start_the_threads_when_the_process_ends_is_sent(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, listener = bench.pipeline.workers, bench.pipeline.listener
    real = listener.resume

    def resume() -> None:
        meanwhile(workers.begin_exit).join()
        real()

    monkeypatch.setattr(listener, "resume", resume)
    bench.log("a")
    workers.finish_exit()
    assert bench.stats().dropped == {}
    assert bench.scripted.stored == ["a"]
