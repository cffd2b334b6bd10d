"""What another thread does between two steps of the spool changes nothing about what people are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.order import Order
from logcollector_handler.delivery.spool import SpoolOutbox
from logcollector_handler.delivery.spool.bodies import Bodies
from logcollector_handler.delivery.spool.directory import BLOCK, charge
from logcollector_handler.delivery.spool.files import Left
from logcollector_handler.settings import Settings
from tests.delivery.harness import no_connection
from tests.delivery.pipelines import CHANCE, PATIENCE, PipelineBench, meanwhile, wait_until
from tests.delivery.spool.processes import Process, other_process


class Flush(threading.Thread):
    """Flushes, and waits: for what is accepted when `begin` is called."""

    def __init__(self, bench: PipelineBench) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self._checks = 0
        self.results: list[bool] = []

    def run(self) -> None:
        def or_else() -> bool:
            self._checks += 1
            return False

        self.results.append(self._bench.pipeline.workers.flush(10 * PATIENCE, or_else))

    def begin(self) -> None:
        self.start()
        self.wait_for_checks(2)

    def wait_for_checks(self, number: int) -> None:
        """Until it has looked that often whether all is settled: it looks twice, and then waits to be notified."""
        wait_until(lambda: self._checks >= number)


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


@pytest.mark.parametrize("wait", ["flush", "close"])
def test_whoever_flushes_or_closes_while_batches_of_dead_processes_are_sent_gets_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    for _ in range(3):
        dead = Process(tmp_path, url=Settings().server_url)
        dead.put("left behind")
        dead.die()
    bench = PipelineBench(spool_dir=str(tmp_path), batch_size=1)
    bench.scripted.rule = no_connection
    bench.send()
    bench.log("ours")
    bench.listen()
    outbox = bench.pipeline.outbox
    assert isinstance(outbox, SpoolOutbox)
    assert len(outbox) == 4
    asking = threading.current_thread()
    removing: list[threading.Thread] = []
    real = Order.__len__

    def count(order: Order[Any]) -> int:
        if threading.current_thread() is asking and order is not outbox._shelf.own and not removing:
            adopted = next(iter(outbox._shelf.adopted)).batch
            removing.append(meanwhile(lambda: outbox.remove(adopted)))
        return real(order)

    monkeypatch.setattr(Order, "__len__", count)
    getattr(bench.pipeline.workers, wait)(0.0)
    removing[0].join(PATIENCE)
    assert len(outbox) == 3


def test_a_batch_that_is_written_while_another_thread_adopts_finds_no_room_in_what_it_adopts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 40 * BLOCK
    old, new = Process(root, max_bytes=limit), Process(root, max_bytes=limit)
    for _ in range(30):
        old.put("left behind")
    old.die()
    real = Bodies.is_done_with

    def is_done_with(bodies: Bodies, name: str) -> bool:
        # The look has locked the owner, and its batches are not on the shelf yet.
        if not writing:
            writing.append(meanwhile(lambda: new.put("x" * 20 * BLOCK)))
        return real(bodies, name)

    writing: list[threading.Thread] = []
    monkeypatch.setattr(Bodies, "is_done_with", is_done_with)
    new.look()
    writing[0].join(PATIENCE)
    assert len(new.outbox) == 31
    files = [path for path in new.outbox.directory.rglob("*") if path.is_file()]
    assert sum(charge(path.lstat()) for path in files) <= limit
    assert [kept.in_file for kept in new.outbox._shelf.own] == [False], "it waits in memory"


def test_a_flush_returns_when_a_damaged_batch_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench(spool_dir=str(tmp_path), batch_size=1)
    bench.log("damaged")
    bench.listen()
    (body,) = tmp_path.glob("*/*.json*")
    body.write_bytes(b"rubbish")
    flush = Flush(bench)
    flush.begin()
    real = SpoolOutbox.end

    def end(outbox: SpoolOutbox, batch: Batch) -> None:
        flush.wait_for_checks(4)
        real(outbox, batch)

    monkeypatch.setattr(SpoolOutbox, "end", end)
    bench.send()
    flush.join(PATIENCE)
    assert (flush.results, bench.stats().dropped) == ([False], {"spool_damaged": 1})


def test_a_handler_that_is_used_again_while_another_of_its_process_looks_gets_its_lock(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has seen its lock just before it was removed, and holds one of that name when it is made again."""
    one, other = Process(root), Process(root)
    one.put("a")
    assert one.messages() == [["a"]]
    scan = other.outbox._files.scan
    again: list[Batch] = []

    def scan_and_see() -> dict[str, Left]:
        found = scan()
        if one.ids.owner in other.outbox._owners._held:
            again.append(one.put("b"))
        elif not again:
            one.outbox.close()
        return found

    monkeypatch.setattr(other.outbox._files, "scan", scan_and_see)
    other.look()
    monkeypatch.undo()
    assert [batch.body for batch in again] == [None], "it is in a file"
    assert other.messages() == []
    assert other_process(root, "print(other.messages())") == "[]"
    assert one.messages() == [["b"]]
