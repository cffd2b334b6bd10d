"""A batch that is replaced by others, as its halves: it stays until all of them are kept as safely as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.spool.directory import BLOCK
from logcollector_handler.delivery.spool.room import HOUSEKEEPING
from tests.delivery.harness import WIRE
from tests.delivery.spool.processes import Process, fill_the_disk


def limit(process: Process, max_bytes: int) -> None:
    process.outbox._room._max_bytes = max_bytes
    process.outbox._room._granted = 0
    process.outbox._room.publish_anew()


def sent_by_an_heir(process: Process, root: Path) -> list[list[str]]:
    process.die()
    heir = Process(root)
    heir.look()
    return heir.messages()


def test_a_split_replaces_its_parent_in_place(root: Path) -> None:
    process = Process(root)
    first = process.put("a", "b")
    process.put("c")
    assert process.outbox.replace(first, process.halves(first)) is Replaced.DONE
    assert process.files[:2] == [f"{first.id}.0.json", f"{first.id}.1.json"]
    assert len(process.files) == 3
    assert process.messages() == [["a"], ["b"], ["c"]]
    assert process.files == []


def test_an_adopted_batch_is_split_like_any_other(root: Path) -> None:
    dead = Process(root)
    dead.put("a", "b")
    dead.die()
    process = Process(root)
    process.look()
    batch = process.outbox.next()
    assert batch is not None
    assert process.outbox.replace(batch, process.halves(batch)) is Replaced.DONE
    process.look()
    assert process.messages() == [["a"], ["b"]]
    assert process.ledger.snapshot().adopted == {"delivered": 2}
    process.look()
    assert process.files == []
    assert [path.name for path in process.outbox.directory.glob("*.lock")] == [f"{process.ids.owner}.lock"]


def test_a_split_that_was_interrupted_is_finished_or_undone(root: Path) -> None:
    for halves, expected in (([], ["ab"]), ([0], ["ab"]), ([1], ["ab"]), ([0, 1], ["a", "b"])):
        dead = Process(root)
        batch = dead.put("a", "b")
        for half in halves:
            dead.outbox.put(dead.halves(batch)[half])
        assert ["".join(each) for each in sent_by_an_heir(dead, root)] == expected


@pytest.mark.parametrize("room", [0, 1])
def test_on_a_full_disk_a_split_keeps_its_parent(root: Path, room: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The only copy on disk must not go for halves that are in memory."""
    process = Process(root)
    batch = process.put("a", "b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process.outbox._files, "write", process.outbox._files.write)
        halves = process.halves(batch)
        fill_the_disk(process, room)
        assert process.outbox.replace(batch, halves) is Replaced.NO_ROOM
    assert process.files == [f"{batch.id}.json"]
    assert (len(process.outbox), process.dropped) == (1, {})
    assert "waits until it can be cut" in capsys.readouterr().err
    assert process.outbox.replace(batch, halves) is Replaced.DONE
    assert sent_by_an_heir(process, root) == [["a"], ["b"]]


def test_on_a_full_disk_a_split_keeps_the_lines_that_were_written_before_it_was_full(root: Path) -> None:
    process = Process(root)
    batch_id = process.write_lines("a")
    fill_the_disk(process)
    batch = process.put_as(batch_id, "a", "b")
    assert process.outbox.replace(batch, process.halves(batch)) is Replaced.NO_ROOM
    assert sent_by_an_heir(process, root) == [["a"]]


def test_a_crash_on_a_full_disk_finds_the_parent(root: Path) -> None:
    """Between the half that could not be written and the removal of the one that was."""
    process = Process(root)
    batch = process.put("a", "b")
    halves = process.halves(batch)
    fill_the_disk(process, 1)

    def killed(name: str, *, dir_fd: int) -> None:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", killed)
        with pytest.raises(SystemExit):
            process.outbox.replace(batch, halves)
    assert process.files == [f"{batch.id}.0.json", f"{batch.id}.json"]
    assert sent_by_an_heir(process, root) == [["a", "b"]]


def test_a_half_that_got_its_name_before_its_directory_could_not_be_synced_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(root, fsync=True)
    batch = process.put("a", "b")
    halves = process.halves(batch)

    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    assert process.outbox.replace(batch, halves) is Replaced.NO_ROOM
    assert process.files == [f"{batch.id}.json"]
    # And a batch that waits in memory has no file that an heir would send again.
    assert process.put("c").body is not None
    assert process.files == [f"{batch.id}.json"]


def test_in_a_full_spool_a_split_does_not_evict_its_parent(root: Path) -> None:
    process = Process(root)
    oldest = process.put("a" * 200, "b" * 200)
    process.put("c" * 50)
    limit(process, process.outbox._room.total())
    assert process.outbox.replace(oldest, process.halves(oldest)) is Replaced.DONE
    # The halves take a block more than the whole, so something else had to go.
    assert process.dropped == {"spool_full": 1}
    assert sent_by_an_heir(process, root) == [["a" * 200], ["b" * 200]]


def test_the_size_of_the_parent_is_room_for_its_successors(root: Path) -> None:
    process = Process(root)
    first = process.put("a" * 200, "b" * 200)
    process.put("c" * 50)
    limit(process, process.outbox._room.total() + BLOCK)
    assert process.outbox.replace(first, process.halves(first)) is Replaced.DONE
    assert process.dropped == {}
    assert process.messages() == [["a" * 200], ["b" * 200], ["c" * 50]]


def test_a_split_that_finds_no_room_drives_nothing_out(root: Path) -> None:
    process = Process(root)
    first = process.put("a" * 5000, "b" * 5000, compressed=True)
    second = process.put("c")
    limit(process, process.outbox._room.total())
    plain = process.load(first).uncompressed(WIRE)
    assert process.outbox.replace(first, [plain]) is Replaced.NO_ROOM
    assert process.files == sorted([f"{first.id}.json.gz", f"{second.id}.json"])
    assert process.dropped == {}
    # It is in no one's use any more, and may go for room.
    for number in range(3):
        process.put(f"{number}" * 20)
    assert process.outbox.load(first) is None


def test_halves_of_a_batch_in_memory_may_be_in_memory_too(root: Path) -> None:
    process = Process(root)
    fill_the_disk(process)
    batch = process.put("a", "b")
    assert process.outbox.replace(batch, process.halves(batch)) is Replaced.DONE
    assert process.files == []
    assert process.outbox._shelf.memory_bytes == sum(each.batch.memory_bytes for each in process.outbox._shelf.own)
    assert process.messages() == [["a"], ["b"]]


def test_a_batch_whose_open_file_is_its_copy_on_disk_is_not_split_into_memory(root: Path) -> None:
    process = Process(root)
    batch_id = process.write_lines("a", "b")
    write = process.outbox._files.write
    fill_the_disk(process)
    batch = process.put_as(batch_id, "a", "b")
    halves = process.halves(batch)
    assert process.outbox.replace(batch, halves) is Replaced.NO_ROOM
    assert process.files == [f"{batch_id}.open"]
    process.outbox._files.write = write  # type: ignore[method-assign]  # the disk has room again
    assert process.outbox.replace(batch, halves) is Replaced.DONE
    assert process.files == [f"{batch_id}.0.json", f"{batch_id}.1.json"]
    assert sent_by_an_heir(process, root) == [["a"], ["b"]]


def test_a_batch_that_somebody_else_settled_meanwhile_leaves_nothing_of_its_halves(root: Path) -> None:
    process = Process(root)
    batch = process.put("a", "b")
    halves = process.halves(batch)
    write = process.outbox._files.write

    def meanwhile(name: str, body: bytes) -> int:
        process.outbox.remove(batch)
        return write(name, body)

    process.outbox._files.write = meanwhile  # type: ignore[method-assign]  # another thread's moment
    assert process.outbox.replace(batch, halves) is Replaced.GONE
    assert process.files == []
    assert (process.outbox._room.total(), len(process.outbox)) == (HOUSEKEEPING, 0)
