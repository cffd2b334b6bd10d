"""A logging call in a thread of the package's own while a caller has the journal."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from logcollector_handler.delivery.journal import JournalQueueHandler
from logcollector_handler.delivery.process import own_work
from logcollector_handler.settings import Settings
from tests.delivery.harness import FakeClock, ScriptedTransport
from tests.delivery.test_conservation import Threadless
from tests.entry.making import builder, record


def test_a_finalizer_in_a_thread_of_ours_waits_for_no_caller_and_its_entry_is_written(tmp_path: Path) -> None:
    settings = replace(Settings(), spool_dir=str(tmp_path), durability="record")
    pipeline = Threadless(settings, builder(), FakeClock(), lambda *_: ScriptedTransport())
    handler = pipeline.handler
    assert isinstance(handler, JournalQueueHandler)

    def finalizer() -> None:
        with own_work():
            handler.emit(record("in our thread"))

    # What a caller does while it writes: it has the lock, and the other thread comes to log.
    thread = threading.Thread(target=finalizer)
    write = handler._write

    def meanwhile(entry: object) -> None:
        handler._write = write  # type: ignore[method-assign]  # once
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "it waits"
        write(entry)  # type: ignore[arg-type]  # as it came

    handler._write = meanwhile  # type: ignore[method-assign]  # as above
    handler.emit(record("of a caller"))
    (path,) = tmp_path.rglob("*.open")
    assert [line.count(b'"message":') for line in path.read_bytes().splitlines()] == [1, 1]
    assert len(handler.queue) == 2
    pipeline.workers.abandon()
