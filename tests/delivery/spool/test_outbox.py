"""The spool's outbox: what is kept where, what goes when there is no room, and what the end of a process leaves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.spool import LOOK_EVERY
from logcollector_handler.delivery.spool.directory import BLOCK, charge
from logcollector_handler.delivery.spool.room import HOUSEKEEPING
from tests.delivery.harness import batch_of
from tests.delivery.spool.processes import Process, fill_the_disk, messages_of


def charged(directory: Path) -> int:
    """What the disk is charged for everything in a directory but directories."""
    return sum(charge(path.lstat()) for path in directory.rglob("*") if not path.is_dir())


def room_for(batches: int, *, owners: int = 1) -> int:
    """Bytes of so many small batches of so many processes."""
    return batches * BLOCK + owners * HOUSEKEEPING


def test_a_batch_leaves_when_it_is_settled(root: Path) -> None:
    process = Process(root)
    first = process.put("one")
    process.put("two")
    assert process.messages() == [["one"], ["two"]]
    assert process.files == []
    assert not process.outbox.remove(first)
    assert process.outbox.begin(first) is None
    assert process.outbox.load(first) is None
    assert not process.outbox.bury(batch_of(first.id, "one"))
    assert process.outbox.replace(first, [batch_of(f"{first.id}.0", "one")]) is Replaced.GONE
    assert process.files == []


def test_bodies_do_not_stay_in_memory(root: Path) -> None:
    process = Process(root)
    process.put("one")
    batch = process.outbox.next()
    assert batch is not None
    assert process.outbox.begin(batch) is not None
    assert batch.body is None
    assert [kept.batch.body for kept in process.outbox._shelf.own] == [None]


def test_what_is_set_aside_is_passed_over(root: Path) -> None:
    process = Process(root)
    first, second = process.put("one"), process.put("two")
    process.outbox.set_aside(first)
    assert process.outbox.next() == second
    process.outbox.set_aside(second)
    assert process.outbox.next() is None


def test_a_flush_waits_for_our_own_batches_only(root: Path) -> None:
    dead = Process(root)
    dead.put("theirs")
    dead.die()
    process = Process(root)
    process.look()
    assert len(process.outbox) == 1
    assert not process.outbox.holds_before(10**9)
    process.outbox.put(batch_of(process.ids.draw(), "ours", ordinal=10))
    assert process.outbox.holds_before(11)
    assert not process.outbox.holds_before(10)


def test_the_directory_is_bounded_and_the_oldest_goes(root: Path) -> None:
    process = Process(root, max_bytes=room_for(8))
    for number in range(20):
        process.put(f"{number}" + "x" * 100)
        assert charged(process.outbox.directory) <= room_for(8)
    assert process.messages() == [[f"{number}" + "x" * 100] for number in range(12, 20)]
    assert process.dropped == {"spool_full": 12}
    assert len(process.files) == 0


def test_what_is_in_flight_or_anothers_is_not_evicted(root: Path) -> None:
    other = Process(root, max_bytes=room_for(2, owners=2))
    theirs = other.put("x" * 400)
    process = Process(root, max_bytes=room_for(2, owners=2))
    process.put("looks")
    process.look()
    process.messages()
    flying = process.put("flying" + "x" * 200)
    process.outbox.begin(flying)
    kept = [process.put(f"{number}" + "x" * 200) for number in range(3)]
    assert (other.outbox.directory / f"{theirs.id}.json").exists()
    assert flying.body is None
    assert process.outbox.load(flying) is not None
    # With nothing left to evict, the batch waits in memory.
    assert kept[-1].body is not None


def test_a_batch_that_is_too_large_for_the_spool_drives_nothing_out(root: Path) -> None:
    process = Process(root, max_bytes=room_for(1))
    small = process.put("small")
    large = process.put("x" * 5000)
    assert large.body is not None, "it waits in memory"
    assert process.files == [f"{small.id}.json"]
    assert process.dropped == {}
    assert [each[0][:5] for each in process.messages()] == ["small", "xxxxx"]


def test_the_oldest_dead_letters_go_before_any_batch_and_no_more_than_must(root: Path) -> None:
    process = Process(root, max_bytes=room_for(5))
    letters = [process.put(f"{number}" + "x" * 100) for number in range(4)]
    for letter in reversed(letters):
        assert process.outbox.bury(process.load(letter))
    process.put("x")
    left = sorted(path.name for path in (process.outbox.directory / "dead").iterdir())
    assert left == [f"{letter.id}.json" for letter in letters[1:]]
    assert process.dropped == {}


def test_a_look_counts_each_file_once(root: Path) -> None:
    # So little that nobody is granted more than it needs.
    other, dead, process = (Process(root, max_bytes=200 * BLOCK) for _ in range(3))
    for number, user in enumerate([other, dead, process], 1):
        user.put("x" * 5000 * number)
    process.outbox.bury(process.load(process.put("refused")))
    dead.die()
    for _ in range(2):
        process.look()
        assert process.outbox._room.total() == charged(process.outbox.directory)
        assert sum(process.outbox._shelf.charges.values()) == (3 + 4) * BLOCK


def test_dead_letters_are_kept_and_go_first(root: Path) -> None:
    process = Process(root, max_bytes=room_for(2))
    refused = process.put("refused" + "x" * 300)
    assert process.outbox.bury(process.load(refused))
    (letter,) = (process.outbox.directory / "dead").iterdir()
    assert json.loads(letter.read_bytes())["logs"][0]["message"].startswith("refused")
    for number in range(2):
        process.put(f"{number}" + "x" * 300)
    assert not letter.exists()
    assert process.dropped == {}


def test_a_dead_letter_that_cannot_be_kept_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = Process(root)
    refused = process.load(process.put("refused"))
    (process.outbox.directory / "dead").write_text("a file where the directory should be")
    assert process.outbox.bury(refused)
    assert "a refused record could not be kept" in capsys.readouterr().err
    assert [name for name in process.files if name != "dead"] == []


def test_a_disk_that_takes_nothing_degrades_to_memory_and_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root.write_text("a file where the directory should be")
    process = Process(root)
    assert process.put("one").body is not None
    assert "wait in memory" in capsys.readouterr().err
    with pytest.raises(OSError, match="exists"):
        process.write_lines("nowhere")
    root.unlink()
    process.put("two")
    assert process.messages() == [["one"], ["two"]]
    assert len(process.outbox) == 0


def test_memory_is_bounded_too_and_what_goes_is_erased(root: Path) -> None:
    process = Process(root, max_memory=2000)
    first = process.write_lines("first" + "x" * 100)
    fill_the_disk(process)
    process.put_as(first, "first" + "x" * 100)
    assert process.files == [f"{first}.open"], "the only copy on disk"
    process.put("second" + "x" * 100)
    assert process.dropped == {"buffer_full": 1}
    assert process.files == [], "what was counted as dropped is not sent by an heir"
    process.put("third, larger than all of the memory" + "x" * 4000)
    assert process.dropped == {"buffer_full": 2}
    assert [each[0][:5] for each in process.messages()] == ["third"]


def test_a_directory_that_is_deleted_under_way_is_made_again(root: Path) -> None:
    process = Process(root)
    process.put("lost")
    shutil.rmtree(root)
    process.put("kept")
    assert process.messages() == [["kept"]]
    assert process.dropped == {"spool_damaged": 1}


def test_the_end_of_the_process_loses_only_what_is_in_memory(root: Path) -> None:
    process = Process(root)
    process.put("on disk")
    whole, torn = process.write_lines("whole"), process.write_lines("kept", torn=b'{"level"')
    fill_the_disk(process)
    process.put("in memory")
    process.put_as(whole, "whole")
    process.put_as(torn, "kept", "lost")
    process.outbox.drop_memory("shutdown")
    # Of a batch that is on disk in part, all records count as dropped: more than were lost, rather than fewer.
    assert process.dropped == {"shutdown": 3}
    assert len(process.outbox) == 2
    process.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["on disk"], ["whole"], ["kept"]]


def test_the_open_file_goes_when_the_batch_has_its_own(root: Path) -> None:
    process = Process(root)
    batch_id = process.write_lines("one")
    assert process.files == [f"{batch_id}.open"]
    process.put_as(batch_id, "one")
    assert process.files == [f"{batch_id}.json"]


def test_an_exception_while_the_open_file_is_made_leaves_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(root)
    create = process.outbox._files.create_open

    def interrupted(batch_id: str) -> int:
        os.close(create(batch_id))
        raise KeyboardInterrupt

    monkeypatch.setattr(process.outbox._files, "create_open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.outbox.open_file(process.ids.draw())
    assert process.files == []
    process.outbox.close()
    assert list(process.outbox.directory.iterdir()) == [], "the lock went, for nothing of ours is here"


def test_lines_of_an_open_file_may_be_written_at_any_offset(root: Path) -> None:
    """So that a line that an exception interrupted is written again at its place."""
    process = Process(root)
    path, descriptor = process.outbox.open_file(process.ids.draw())
    os.pwrite(descriptor, b"second", 5)
    os.pwrite(descriptor, b"first", 0)
    assert os.pread(descriptor, 20, 0) == b"firstsecond"
    os.close(descriptor)
    assert path.read_bytes() == b"firstsecond"


def test_a_look_that_takes_long_is_not_repeated_soon(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With very many files in the directory the sender would do nothing but look."""
    process = Process(root)
    process.put("one")
    scandir = os.scandir

    def slowly(path: Path) -> Any:
        process.clock.advance(3.0)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", slowly)
    process.clock.advance(LOOK_EVERY)
    began = process.clock.now
    rest = process.outbox.look()
    assert rest is not None
    assert rest == pytest.approx(20 * (process.clock.now - began))
    assert rest > LOOK_EVERY
    process.clock.advance(LOOK_EVERY)
    assert process.outbox.look() == pytest.approx(rest - LOOK_EVERY)


@pytest.mark.parametrize("fsync", [True, False])
def test_a_batch_survives_with_and_without_fsync(root: Path, fsync: bool) -> None:
    process = Process(root, fsync=fsync)
    batch = process.put("one")
    assert messages_of(process.load(batch)) == ["one"]
