"""Adoption: what dead processes left is sent by the next one, all of it, once, under its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from logcollector_handler.delivery.spool.adoption import superseded
from tests.delivery.harness import batch_of
from tests.delivery.spool.processes import Process, other_process


def test_what_a_dead_process_left_is_taken_over_in_order_under_its_keys(root: Path) -> None:
    dead = Process(root)
    ids = [dead.put(each).id for each in "abc"]
    dead.die()
    heir = Process(root)
    heir.look()
    taken = []
    while (batch := heir.outbox.next()) is not None:
        loaded = heir.outbox.begin(batch)
        assert loaded is not None
        assert (loaded.adopted, loaded.count, loaded.entries) == (True, 1, 1)
        taken.append(batch.id)
        heir.outbox.remove(batch)
    assert taken == ids
    heir.look()
    assert list(heir.outbox.directory.iterdir()) == []


def test_what_was_taken_over_and_not_sent_is_given_back(root: Path) -> None:
    dead = Process(root)
    dead.put("a")
    dead.die()
    first = Process(root)
    first.look()
    assert len(first.outbox) == 1
    first.outbox.close()
    assert first.outbox.next() is None, "another process may send it by now"
    assert other_process(root, "print(other.messages())") == "[['a']]"


def test_a_file_that_was_written_in_part_is_cleared_away_with_its_owner(root: Path) -> None:
    dead = Process(root)
    dead.put("one")
    half = dead.outbox.directory / f"{dead.ids.draw()}.json.tmp"
    half.write_bytes(b'{"logs":[')
    dead.die()
    heir = Process(root)
    heir.look()
    assert not half.exists()
    assert heir.messages() == [["one"]]


def test_an_open_file_becomes_the_batch_that_it_was_to_be(root: Path) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one", "two", torn=b'{"level":"IN')
    dead.write_lines(torn=b"\0\0\0")
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.files == [f"{batch_id}.json"]
    batch = heir.outbox.next()
    assert batch is not None
    expected = batch_of(batch_id, "one", "two")
    assert (heir.load(batch).body, heir.load(batch).count) == (expected.body, 2)


def test_an_open_file_of_few_large_records_becomes_a_compressed_batch(root: Path) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("x" * 70_000)
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.files == [f"{batch_id}.json.gz"]


def test_an_open_file_whose_batch_is_there_too_is_not_sent_again(root: Path) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one")
    packed = batch_of(batch_id, "one", compressed=True)
    dead.outbox._files.write(dead.outbox._files.body(batch_id, True), packed.body or b"")
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["one"]]
    assert heir.files == []


def test_an_open_file_that_cannot_be_read_now_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one")
    dead.die()
    heir = Process(root)

    def broken(batch_id: str) -> list[bytes]:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heir.outbox._files, "lines", broken)
        heir.look()
    assert heir.files == [f"{batch_id}.open"]
    assert "cannot be taken over now (Input/output error)" in capsys.readouterr().err
    heir.look()
    assert heir.messages() == [["one"]]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ("x y", ""),
        ("x x.0", "x.0"),
        ("x x.1", "x.1"),
        ("x x.0 x.1", "x"),
        ("x.0 x.1", ""),
        ("x.0", ""),
        ("x.1", ""),
        ("x.0 x.0.0 x.0.1 x.1", "x.0"),
        ("x.0 x.0.1 x.1", "x.0.1"),
        ("x x.0 x.1 x.1.0 x.1.1", "x x.1"),
    ],
)
def test_of_an_interrupted_split_the_whole_counts_until_both_halves_are_there(ids: str, expected: str) -> None:
    assert " ".join(sorted(superseded(ids.split()))) == expected


def test_an_owner_that_went_on_until_its_lock_was_taken_has_all_its_files_taken_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Process(root)
    slow.put("a")
    heir = Process(root)
    take = heir.outbox._owners._take

    def late(owner: str) -> bool:
        slow.put("b")
        slow.die()
        return take(owner)

    monkeypatch.setattr(heir.outbox._owners, "_take", late)
    heir.look()
    assert heir.messages() == [["a"], ["b"]]
