"""What another thread does between two steps of the spool changes nothing about what people are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.ledger import Ledger
from tests.delivery.pipelines import PATIENCE, PipelineBench
from tests.delivery.test_progress import CHANCE


class Flush(threading.Thread):
    """Flushes, and waits: for what is accepted when `begin` is called."""

    def __init__(self, bench: PipelineBench) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self._waits = threading.Event()
        self.results: list[bool] = []

    def run(self) -> None:
        def or_else() -> bool:
            self._waits.set()
            return False

        self.results.append(self._bench.pipeline.workers.flush(PATIENCE, or_else))

    def begin(self) -> None:
        self.start()
        assert self._waits.wait(PATIENCE)


def fill_the_disk(bench: PipelineBench) -> None:
    def write(name: str, body: bytes) -> int:
        raise OSError(28, "No space left on device")

    bench.pipeline.outbox._files.write = write  # type: ignore[attr-defined]  # stands for the disk


def put_more(bench: PipelineBench) -> None:
    while not bench.stats().dropped:
        bench.log("x" * 1000)
        bench.listen()


def end(bench: PipelineBench) -> None:
    bench.pipeline.outbox.drop_memory("shutdown")


@pytest.mark.parametrize(
    ("deliver", "reason", "drop"),
    [
        (True, "spool_full", put_more),
        (True, "buffer_full", put_more),
        (True, "shutdown", end),
        (False, "buffer_full", put_more),
        (False, "shutdown", end),
    ],
)
def test_a_flush_while_a_batch_is_dropped_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deliver: bool, reason: str, drop: Callable[[PipelineBench], None]
) -> None:
    bench = PipelineBench(
        spool_dir=str(tmp_path),
        deliver=deliver,
        batch_size=1,
        enable_compression=False,
        max_record_bytes=2000,
        max_batch_bytes=4000,
        max_buffer_bytes=8000,
        max_spool_bytes=10 * 4096,
    )
    if reason != "spool_full":
        fill_the_disk(bench)
    bench.log("the first")
    bench.listen()
    flush = Flush(bench)
    flush.begin()
    real = Ledger.drop

    def count(ledger: Ledger, *args: Any, **more: Any) -> None:
        # As any thread does that has settled something.
        ledger.settled.notify()
        flush.join(CHANCE)
        real(ledger, *args, **more)

    monkeypatch.setattr(Ledger, "drop", count)
    drop(bench)
    flush.join(PATIENCE)
    assert bench.stats().dropped == {reason: 1}
    assert flush.results == [False]
