"""Batches that come while others of the same name are held: adopted by the next look, each of them once."""

from __future__ import annotations

from pathlib import Path

import pytest

from logcollector_handler.delivery.outbox import Replaced
from tests.delivery.spool.processes import Process, Writer, fill_the_disk


def adopted_by(process: Process) -> list[str]:
    return [kept.batch.id for kept in process.outbox._shelf.adopted]


def stuck(process: Process, monkeypatch: pytest.MonkeyPatch, *suffixes: str) -> None:
    """From now on files with these endings cannot be removed."""
    place = process.outbox._files.place
    real = place.remove

    def remove(name: str) -> bool:
        if name.endswith(suffixes):
            raise OSError(5, "Input/output error")
        return real(name)

    monkeypatch.setattr(place, "remove", remove)


def test_a_file_that_is_left_alone_holds_up_no_other(root: Path) -> None:
    writer, forwarder = Writer(root), Process(root)
    writer.put("one")
    (path,) = writer.directory.glob("*.json")
    path.chmod(0o666)
    forwarder.look()
    assert forwarder.messages() == []
    for message in ("two", "three"):
        writer.put(message)
        forwarder.look()
        assert forwarder.messages() == [[message]]
    assert [*writer.directory.glob("*.json")] == [path]
    path.chmod(0o600)
    forwarder.look()
    forwarder.look()
    assert forwarder.messages() == [["one"]]
    assert writer.files == []


def test_a_batch_that_waits_is_adopted_once(root: Path) -> None:
    writer, forwarder = Writer(root), Process(root)
    writer.put("a")
    writer.put_written("b")
    for _ in range(3):
        forwarder.look()
    batch = forwarder.outbox.next()
    assert batch is not None
    forwarder.outbox.note_lost_answer(batch)
    forwarder.look()
    assert any(name.endswith(".lost") for name in writer.files), "the mark is not taken for one without a batch"
    assert forwarder.messages() == [["a"], ["b"]]
    assert forwarder.ledger.snapshot().adopted == {"delivered": 2}
    assert writer.files == []


def test_the_parts_of_a_batch_that_waits_are_not_sent_beside_it(root: Path) -> None:
    writer, forwarder = Writer(root), Process(root)
    writer.put("a", "b")
    forwarder.look()
    batch = forwarder.outbox.next()
    assert batch is not None
    halves = forwarder.halves(batch)
    # A cut that was interrupted after it had written them.
    forwarder.outbox._bodies.write(halves)
    forwarder.look()
    assert adopted_by(forwarder) == [batch.id]
    assert forwarder.outbox.replace(batch, halves) is Replaced.DONE
    forwarder.look()
    assert forwarder.messages() == [["a"], ["b"]]


def test_a_batch_that_was_cut_and_cannot_be_removed_is_not_sent_beside_its_parts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, forwarder = Writer(root), Process(root)
    writer.put("a", "b")
    forwarder.look()
    batch = forwarder.outbox.next()
    assert batch is not None
    with monkeypatch.context() as patch:
        stuck(forwarder, patch, f"{batch.id}.json")
        assert forwarder.outbox.replace(batch, forwarder.halves(batch)) is Replaced.DONE
        forwarder.look()
        assert adopted_by(forwarder) == [f"{batch.id}.0", f"{batch.id}.1"]
        first = forwarder.outbox.next()
        assert first is not None
        forwarder.outbox.remove(first)
        writer.put("c")
        forwarder.look()
        assert forwarder.messages() == [["b"], ["c"]]
        forwarder.look()
        assert (forwarder.messages(), len(writer.files)) == ([], 1)
    forwarder.look()
    assert writer.files == []


@pytest.mark.parametrize("suffix", [".json", ".open"])
def test_what_was_sent_and_cannot_be_removed_is_not_sent_again_by_the_same_process(
    root: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    writer, forwarder = Writer(root), Process(root)
    writer.put_written("a")
    with monkeypatch.context() as patch:
        stuck(forwarder, patch, suffix)
        forwarder.look()
        writer.put("b")
        forwarder.look()
        assert forwarder.messages() == [["a"], ["b"]]
        for _ in range(3):
            forwarder.look()
            assert forwarder.messages() == []
    forwarder.look()
    assert writer.files == []


def test_on_a_full_disk_one_batch_at_a_time_waits_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, forwarder = Writer(root), Process(root)
    for message in "abc":
        writer.put_written(message)
    with monkeypatch.context() as patch:
        patch.setattr(forwarder.outbox._files, "write", forwarder.outbox._files.write)
        fill_the_disk(forwarder)
        for _ in range(3):
            forwarder.look()
            assert len(forwarder.outbox) == 1
        assert len([name for name in writer.files if name.endswith(".open")]) == 3
    # With room again the others do not wait for it.
    forwarder.look()
    assert len(forwarder.outbox) == 3
    assert forwarder.messages() == [["a"], ["b"], ["c"]]
    assert writer.files == []


def test_the_mark_of_an_open_file_that_cannot_be_read_now_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one", "two")
    (dead.outbox.directory / f"{batch_id}.lost").touch()
    dead.die()
    forwarder = Process(root)

    def broken(batch_id: str) -> list[bytes]:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(forwarder.outbox._files, "lines", broken)
        forwarder.look()
    forwarder.look()
    batch = forwarder.outbox.next()
    assert batch is not None
    assert batch.answer_lost


def test_an_owner_that_took_its_lock_back_before_the_look_saw_its_files_keeps_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, other = Process(root), Process(root)
    process.put("one")
    process.die()
    other.look()
    assert len(other.outbox) == 1
    scan = other.outbox._files.scan

    def late() -> object:
        lock = other.outbox.directory / f"{process.ids.owner}.lock"
        lock.unlink()
        lock.touch()
        process.put("two")
        return scan()

    monkeypatch.setattr(process.outbox._owners, "ensure_own", lambda: None)
    monkeypatch.setattr(other.outbox._files, "scan", late)
    other.look()
    assert (other.messages(), process.ids.owner in other.outbox._owners.held) == ([], False)
    assert len([name for name in process.files if name.endswith(".json")]) == 2
