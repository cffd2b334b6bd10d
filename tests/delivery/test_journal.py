"""The journal: what is in its files after every way in which a call can go, and what the listener takes of them."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery import turns
from logcollector_handler.delivery.journal import Journal
from logcollector_handler.delivery.journal_file import JournalFile
from logcollector_handler.delivery.process import own_work
from logcollector_handler.delivery.states import Role
from tests.delivery.harness import line
from tests.delivery.pipelines import PATIENCE, PipelineBench, alive, records_add_up


@pytest.fixture
def journal(tmp_path: Path) -> PipelineBench:
    """A bench whose queue is a journal, with three lines a file."""
    return make(tmp_path)


def make(directory: Path, batch_size: int = 3, **changes: Any) -> PipelineBench:
    return PipelineBench(spool_dir=str(directory), durability="record", batch_size=batch_size, **changes)


def messages(lines: Sequence[bytes]) -> list[str]:
    return [json.loads(each)["message"] for each in lines]


def on_disk(directory: Path) -> list[list[str]]:
    """The messages of each open file, in order."""
    return [messages(path.read_bytes().splitlines()) for path in sorted(directory.rglob("*.open"))]


def size_of(file: JournalFile) -> int:
    """Bytes of its lines with their ends."""
    return sum(len(each) + 1 for each in file.lines)


# One file


class OneFile:
    """A JournalFile, and what is in the real one."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "one.open"
        self.descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR)
        self.file = JournalFile("one", self.descriptor)

    def write(self, *lines: bytes) -> None:
        self.file.lines += lines
        self.file.write(fsync=False)


@pytest.fixture
def one(tmp_path: Path) -> OneFile:
    return OneFile(tmp_path)


def test_a_file_holds_its_lines_one_after_another(one: OneFile) -> None:
    one.write(b"a")
    one.write()
    one.write(b"bb", b"c")
    assert one.path.read_bytes() == b"a\nbb\nc\n"
    assert size_of(one.file) == 7
    one.file.close()


def test_lines_that_were_written_but_not_noted_are_written_again_in_the_same_place(one: OneFile) -> None:
    """An exception out of a signal handler came in between."""
    one.write(b"a")
    noted = one.file._written
    one.write(b"bb")
    one.file._written = noted
    assert size_of(one.file) == 5
    one.write(b"c")
    assert one.path.read_bytes() == b"a\nbb\nc\n"
    assert size_of(one.file) == 7
    one.file.close()


def half(descriptor: int, data: bytes, offset: int) -> int:
    return _pwrite(descriptor, data[: len(data) // 2], offset)


def no_room(descriptor: int, data: bytes, offset: int) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


_pwrite = os.pwrite


@pytest.mark.parametrize("pwrite", [half, no_room])
def test_on_a_full_disk_the_file_keeps_its_whole_lines_and_the_rest_wait_in_memory(
    one: OneFile, monkeypatch: pytest.MonkeyPatch, pwrite: Callable[[int, bytes, int], int]
) -> None:
    one.write(b"a")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        with pytest.raises(OSError, match="No space left") as raised:
            one.write(b"a long line")
    assert raised.value.errno == errno.ENOSPC
    assert one.path.read_bytes() == b"a\n"
    assert one.file.lines == [b"a", b"a long line"]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(one.descriptor)
    one.write(b"later")
    assert one.path.read_bytes() == b"a\n", "a line behind a missing one would be in the wrong batch"
    assert size_of(one.file) == len(b"a\na long line\nlater\n")


def test_a_file_is_synced_where_that_is_asked_for(one: OneFile, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    one.write(b"a")
    assert synced == []
    one.file.lines.append(b"b")
    one.file.write(fsync=True)
    assert synced == [one.descriptor]
    one.file.close()


# Which file a line is in


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        ({"batch_size": 2}, [["a", "b"], ["c", "d"], ["e"]]),
        ({"batch_size": 5}, [["a", "b", "c", "d", "e"]]),
        ({"batch_size": 100, "max_queue_size": 4}, [["a", "b", "c", "d"]]),
    ],
    ids=["two a batch", "exactly one batch", "a queue that is shorter than a batch"],
)
def test_a_file_is_full_at_as_many_lines_as_a_batch_may_have(
    tmp_path: Path, limits: dict[str, int], files: list[list[str]]
) -> None:
    bench = make(tmp_path, **limits)
    # Nobody waits for the listener, which is this thread.
    bench.pipeline.queue.is_stuck = True
    bench.log(*"abcde")
    assert on_disk(tmp_path) == files
    assert [messages(file.lines) for file in bench.files] == files
    assert records_add_up(bench.stats())
    bench.pipeline.workers.abandon()


@pytest.mark.parametrize(("more", "files"), [(0, 1), (1, 2)], ids=["exactly", "one byte more"])
def test_a_file_is_full_at_as_many_bytes_as_a_batch_may_have(tmp_path: Path, more: int, files: int) -> None:
    bench = make(tmp_path, batch_size=100, max_batch_bytes=2048, max_record_bytes=2048)
    bench.log("x")
    overhead = size_of(bench.files[0]) - 1
    bench.log("y" * (2048 - 2 * overhead - 1 + more))
    assert [size_of(file) for file in bench.files] == ([2048] if files == 1 else [overhead + 1, 2048 - overhead])
    assert len(on_disk(tmp_path)) == files
    bench.pipeline.workers.abandon()


def test_lines_never_move_from_one_file_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies leaves files under their ids: a line in two of them would be stored twice."""
    bench = make(tmp_path)
    bench.log("a", "b")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", half)
        bench.log("no room")
    bench.log("c", "d")
    assert on_disk(tmp_path) == [["a", "b"], ["c", "d"]]
    assert [messages(file.lines) for file in bench.files] == [["a", "b", "no room"], ["c", "d"]]
    assert [path.stem for path in sorted(tmp_path.rglob("*.open"))] == [file.id for file in bench.files]
    bench.clock.advance(10)
    for _ in range(2):
        bench.listen()
        bench.clock.advance(10)
    assert bench.batches == [["a", "b", "no room"], ["c", "d"]]
    assert on_disk(tmp_path) == []


def test_where_no_file_can_be_made_lines_wait_in_memory(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(journal.pipeline.outbox, "open_file", lambda _: no_room(0, b"", 0))
        journal.log("a", "b")
    assert "wait in memory" in capsys.readouterr().err
    journal.log("c", "d")
    assert [messages(file.lines) for file in journal.files] == [["a", "b", "c"], ["d"]]
    assert on_disk(Path(str(journal.settings.spool_dir))) == [["d"]]
    journal.pipeline.workers.abandon()


# What the listener takes


def test_the_listener_takes_exactly_one_file_under_its_id(journal: PipelineBench, tmp_path: Path) -> None:
    journal.log(*"abcd")
    first, second = journal.files
    for file, expected in ((first, ["a", "b", "c"]), (second, ["d"])):
        taken = journal.journal.take(1, journal.pipeline.ledger)
        assert (taken.batch_id, messages(taken.entries)) == (file.id, expected)
    assert journal.journal.take(1, journal.pipeline.ledger).entries == []
    assert journal.stats().pending == 4
    assert on_disk(tmp_path) == [["a", "b", "c"], ["d"]], "until their batches are kept"
    journal.pipeline.workers.abandon()


def test_a_file_that_the_listener_has_gets_no_more_lines(journal: PipelineBench, tmp_path: Path) -> None:
    journal.log("a")
    taken = journal.journal.take(1, journal.pipeline.ledger)
    journal.log("b")
    assert messages(taken.entries) == ["a"]
    assert on_disk(tmp_path) == [["a"], ["b"]]
    journal.pipeline.workers.abandon()


def test_the_key_of_a_request_is_the_name_of_the_file_and_the_file_is_gone_with_it(
    journal: PipelineBench, tmp_path: Path
) -> None:
    journal.log(*"abc")
    (path,) = tmp_path.rglob("*.open")
    descriptor = journal.files[0]._descriptor
    journal.listen()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)
    assert journal.batches == [["a", "b", "c"]]
    assert [request.key for request in journal.scripted.requests] == [path.stem]
    assert not path.exists()
    assert (journal.stats().delivered, journal.stats().pending) == (3, 0)


def test_what_goes_out_under_the_id_of_a_file_is_what_it_holds_also_after_a_loss(
    journal: PipelineBench, tmp_path: Path
) -> None:
    """The process that finds the file after a kill sends it under the same key."""
    for _ in range(2):
        journal.pipeline.ledger.turn_away("queue_full")
    journal.log(*"abc")
    (path,) = tmp_path.rglob("*.open")
    journal.listen()
    assert journal.batches == [["2 log records were lost: 2 because the queue was full"], ["a", "b", "c"]]
    notice, batch = journal.scripted.requests
    assert notice.key != batch.key == path.stem
    assert journal.stats().delivered == 3


# Who writes


def test_a_finalizer_in_a_thread_of_ours_waits_for_no_caller_and_its_entry_is_written(
    journal: PipelineBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finalizer() -> None:
        with own_work():
            journal.log("in our thread")

    # What a caller does while it writes: it has the lock, and the other thread comes to log.
    thread = threading.Thread(target=finalizer)
    write = journal.journal._write

    def meanwhile() -> None:
        monkeypatch.setattr(journal.journal, "_write", write)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "it waits"
        write()

    monkeypatch.setattr(journal.journal, "_write", meanwhile)
    journal.log("of a caller")
    assert on_disk(tmp_path) == [["of a caller", "in our thread"]]
    assert len(journal.journal) == 2
    journal.pipeline.workers.abandon()


def test_what_a_thread_of_ours_hands_in_is_counted_at_once_and_wakes_the_listener_which_writes_it(
    journal: PipelineBench, tmp_path: Path
) -> None:
    with own_work():
        journal.log("a")
    assert (journal.stats().accepted, journal.stats().pending, journal.starts) == (1, 1, 1)
    assert on_disk(tmp_path) == []
    journal.listen()
    journal.clock.advance(10)
    journal.listen()
    assert journal.batches == [["a"]]
    assert journal.stats().delivered == 1


def test_a_call_in_the_middle_of_another_of_its_thread_leaves_the_writing_to_that(
    journal: PipelineBench, tmp_path: Path
) -> None:
    with journal.journal._lock:
        journal.log("inner")
        assert on_disk(tmp_path) == []
        assert journal.stats().accepted == 1
    journal.journal.add(line("outer"))
    assert on_disk(tmp_path) == [["inner", "outer"]]
    journal.pipeline.workers.abandon()


def test_at_exit_a_call_in_the_middle_of_a_write_does_not_take_the_file_away_from_it(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(journal)
    journal.pipeline.workers.begin_exit()
    write = JournalFile.write

    def interrupted(self: JournalFile, *, fsync: bool) -> None:
        if self.lines[-1:] and b"outer" in self.lines[-1]:
            journal.log("nested", level=logging.ERROR)
            assert self.lines, "its lines are gone before they are written"
        write(self, fsync=fsync)

    monkeypatch.setattr(JournalFile, "write", interrupted)
    journal.log("outer")
    assert [len(batch) for batch in journal.batches] == [2]
    assert journal.stats().pending == 0


def test_a_caller_that_waited_under_block_is_not_turned_away_when_another_takes_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = PipelineBench(
        spool_dir=str(tmp_path), durability="record", overflow="block", max_queue_size=1, batch_size=1
    )
    alive(bench, *Role)
    bench.log("first")

    def block(wake: Callable[[], object]) -> None:
        bench.listen()
        bench.journal.add(line("another"))

    monkeypatch.setattr(bench.journal, "block", block)
    bench.log("waited")
    assert not bench.stats().dropped
    assert bench.stats().accepted == 3


# Callers at full speed


def fill(bench: PipelineBench, names: str, seconds: float) -> None:
    """Log so many seconds apart."""
    for name in names:
        bench.log(name)
        bench.clock.advance(seconds)


def test_callers_at_full_speed_let_the_listener_make_a_batch_of_each_full_file(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the gaps between their writes it gets so little of the interpreter that it slows them down by half."""
    waits: list[int] = []

    def catch_up() -> None:
        waits.append(len(journal.files))
        journal.listen()

    monkeypatch.setattr(journal.journal, "catch_up", catch_up)
    fill(journal, "abcdefgh", 1e-6)
    assert waits == [2, 2]
    assert [messages(file.lines) for file in journal.files] == [["g", "h"]]


def test_callers_that_take_their_time_do_not_wait_for_the_listener(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal.journal, "catch_up", lambda: pytest.fail("it waited"))
    fill(journal, "abcdefgh", 1e-3)
    assert len(journal.files) == 3


def test_our_own_threads_do_not_wait_for_the_listener(journal: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(journal, "abcd", 1e-6)
    monkeypatch.setattr(journal.journal, "catch_up", lambda: pytest.fail("it waited"))
    with own_work():
        journal.log("e")


def test_the_listener_has_caught_up_when_the_batch_is_in_the_outbox(journal: PipelineBench) -> None:
    fill(journal, "abcd", 1e-6)
    done: list[str] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        taken, _ = journal.pipeline.listener.collect()
        assert taken is not None
        assert not holds(), "its batch is not made yet"
        done.append("taken")
        journal.pipeline.listener.handle(taken)
        assert holds()
        done.append("caught up")
        return True

    waiters = journal.journal._waiters
    waiters.wait = wait  # type: ignore[method-assign]
    waiters.notify = lambda: done.append("notified")  # type: ignore[method-assign]
    journal.journal.catch_up()
    assert done == ["notified", "taken", "notified", "caught up"]


def test_callers_wait_in_vain_for_the_listener_only_once(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(journal.journal._waiters, "wait", wait)
    fill(journal, "abcdefgh", 1e-6)
    assert waits == [0.02]
    journal.listen()
    fill(journal, "ij", 1e-6)
    assert waits == [0.02, 0.02]


def test_callers_who_meet_take_turns(journal: PipelineBench) -> None:
    journal.log("a")
    assert not journal.journal.turns.until
    # Another caller has handed this in, and waits for the lock.
    journal.journal.entries.append(line("b"))
    journal.log("c")
    assert journal.journal.turns.until
    journal.journal.begin_exit()
    assert not journal.journal.turns.until


def test_a_caller_makes_way_when_its_record_is_written(
    tmp_path: Path, journal: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_ROUND", 2)
    monkeypatch.setattr(turns, "_TURN", 1)
    seen: list[list[list[str]]] = []
    monkeypatch.setattr(turns.Turns, "take", lambda _: seen.append(on_disk(tmp_path)))
    journal.journal.turns.begin()
    journal.log("a", "b")
    # Its turn is over after two records.
    assert seen == [[["a", "b"]]]
    # It is another thread's turn.
    journal.journal.turns._turn = 0
    journal.log("c")
    assert seen[1:] == [[["a", "b", "c"]]]
    with own_work():
        journal.log("d")
    assert len(seen) == 2


@pytest.mark.parametrize("asks", ["flush", "stats"])
def test_a_call_in_the_middle_of_a_count_does_not_wait_for_the_listener_which_waits_for_the_count(
    journal: PipelineBench, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    journal.log("a", "b", "c")
    listening = threading.Thread(target=journal.listen, daemon=True)
    length = Journal.__len__

    def interrupted(queue: Journal) -> int:
        if threading.current_thread() is asking and not listening.ident:
            # The listener has the journal's lock, and wants the ledger's: then a signal handler logs.
            monkeypatch.setattr(journal.journal, "_write", lambda: has_lock.set())
            listening.start()
            assert has_lock.wait(PATIENCE)
            monkeypatch.undo()
            journal.log("d")
        return length(queue)

    def ask() -> None:
        if asks == "flush":
            journal.pipeline.workers.flush(0.0)
        else:
            journal.stats()

    has_lock = threading.Event()
    asking = threading.Thread(target=ask, daemon=True)
    monkeypatch.setattr(Journal, "__len__", interrupted)
    asking.start()
    asking.join(PATIENCE)
    assert not asking.is_alive(), "both wait for each other"
    listening.join(PATIENCE)
    assert journal.batches == [["a", "b", "c"]]
    assert journal.stats().pending == len(journal.journal) == 1
    journal.clock.advance(10)
    journal.listen()
    journal.clock.advance(10)
    journal.listen()
    assert journal.batches == [["a", "b", "c"], ["d"]]
