"""Handing over: a batch lies where others find it and take it, while its writer lives, and in the order of writing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.spool import bodies as bodies_module
from logcollector_handler.delivery.spool import survey
from tests.delivery.harness import line
from tests.delivery.spool.processes import Process, Writer, fill_the_disk


def fill(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk takes no file."""

    def write(name: str, body: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.hand_over._files, "write", write)


def test_a_batch_is_taken_by_another_process_while_its_writer_lives(root: Path) -> None:
    writer = Writer(root)
    for number in range(12):
        writer.put(f"{number}a", f"{number}b", compressed=number % 2 == 0)
    assert writer.stats().handed_over == writer.stats().accepted == 24
    assert (len(writer.hand_over), writer.hand_over.holds_before(100)) == (0, False)
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [[f"{number}a", f"{number}b"] for number in range(12)]
    assert (writer.files, forwarder.ledger.snapshot().adopted) == ([], {"delivered": 24})


def test_an_open_file_is_handed_over_by_a_rename_with_the_lines_that_it_has(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(root)
    monkeypatch.setattr(bodies_module.Bodies, "write", None)  # Nothing is written anew.
    writer.put_written("a", "b")
    writer.put_written("c")
    assert [name.rpartition(".")[2] for name in writer.files] == ["open", "open"]
    assert not [name for name in writer.files if name.startswith(writer.ids.owner)]
    assert writer.stats().handed_over == 3
    monkeypatch.undo()
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [["a", "b"], ["c"]]
    assert writer.files == []


def test_an_open_file_that_lacks_lines_is_replaced_by_the_whole_batch(root: Path) -> None:
    writer = Writer(root)
    writer.put_written("a", "b", "c", missing=1)
    assert [name.partition(".")[2] for name in writer.files] == ["json"]
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [["a", "b", "c"]]


def test_what_comes_while_another_process_sends_is_found_by_its_next_look(root: Path) -> None:
    """The forwarder has locked the name under which the writer goes on to hand over."""
    writer, forwarder = Writer(root), Process(root)
    writer.put("a")
    writer.put("b")
    forwarder.look()
    writer.put("c")
    forwarder.look()
    writer.put_written("d")
    assert forwarder.messages() == [["a"], ["b"], ["c"]]
    # At once: a look that found something is followed by another when that is sent.
    forwarder.outbox.look()
    assert forwarder.messages() == [["d"]]
    assert writer.files == []


def test_a_writer_that_is_full_waits_in_memory_says_so_and_tries_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(root)
    with monkeypatch.context() as full:
        fill(writer, full)
        for message in "abc":
            writer.put(message)
        assert (writer.stats().pending, writer.stats().handed_over, len(writer.hand_over)) == (3, 0, 3)
        assert writer.hand_over.holds_before(1)
        assert "takes no batch now (No space left on device): batches wait in memory" in capsys.readouterr().err
        delay = writer.hand_over.step()
        assert delay
        writer.clock.advance(delay)
        assert writer.hand_over.step() == delay, "it tried, and will again"
    assert writer.hand_over.step() == delay, "not yet"
    writer.clock.advance(delay)
    assert writer.hand_over.step() is None
    assert (writer.stats().pending, writer.stats().handed_over) == (0, 3)
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [["a"], ["b"], ["c"]]


def test_room_for_one_is_used_for_the_oldest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(root)
    with monkeypatch.context() as full:
        fill(writer, full)
        for message in "abc":
            writer.put(message)
    real = writer.hand_over._files.write
    left = [True]

    def write(name: str, body: bytes) -> int:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return real(name, body)

    monkeypatch.setattr(writer.hand_over._files, "write", write)
    writer.hand_over.hurry()
    writer.hand_over.step()
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [["a"]]


def test_somebody_who_waits_ends_the_rest_and_wakes_the_thread(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(root)
    with monkeypatch.context() as full:
        fill(writer, full)
        writer.put("a")
    assert writer.hand_over.step()
    writer.hand_over.hurry()
    writer.hand_over.wait(0.0)
    assert not writer.wakeup._lock.acquire(blocking=False), "the flag was raised once, and lowered"
    assert writer.hand_over.step() is None


def test_at_the_end_of_the_process_it_tries_more_often_and_until_the_end(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(root)
    fill(writer, monkeypatch)
    writer.put("a")
    end = writer.clock.monotonic() + 1.0
    writer.hand_over.hasten(end)
    writer.hand_over.exit(end)
    tries = 0
    while (delay := writer.hand_over.step()) is not None:
        writer.clock.advance(delay)
        tries += 1
    assert tries > 5
    assert writer.clock.monotonic() <= end
    writer.hand_over.drop_memory("shutdown")
    assert (writer.stats().dropped, writer.stats().pending) == ({"shutdown": 1}, 0)


def test_what_is_in_memory_at_last_is_tried_once_more_before_it_is_dropped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(root)
    with monkeypatch.context() as full:
        fill(writer, full)
        writer.put("a")
    writer.hand_over.drop_memory("shutdown")
    assert (writer.stats().dropped, writer.stats().handed_over) == ({}, 1)


def test_memory_is_bounded_too_and_the_oldest_goes_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(root, max_buffer_bytes=4000, max_batch_bytes=2000, max_record_bytes=1024)
    with monkeypatch.context() as full:
        fill(writer, full)
        for number in range(10):
            writer.put(str(number))
    dropped = writer.stats().dropped["buffer_full"]
    assert 5 < dropped < 10
    writer.hand_over.hurry()
    assert writer.hand_over.step() is None
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [[str(number)] for number in range(dropped, 10)]


def test_a_full_spool_takes_no_more_until_others_have_sent_some(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = Writer(root, max_spool_bytes=20 * 4096)
    for number in range(30):
        writer.put(str(number))
    held = len(writer.files)
    assert 15 < held <= 20
    assert (writer.stats().handed_over, writer.stats().pending, writer.stats().dropped) == (held, 30 - held, {})
    assert "max_spool_bytes (81920) is used up" in capsys.readouterr().err
    with pytest.raises(OSError, match="used up"):
        writer.hand_over.open_file(writer.ids.draw())
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [[str(number)] for number in range(held)]
    writer.hand_over.hurry()
    assert writer.hand_over.step() is None
    assert (writer.stats().handed_over, writer.stats().pending) == (30, 0)
    os.close(writer.hand_over.open_file(writer.ids.draw())[1])


def until_full(act: Callable[[], object]) -> int:
    """Act until there is no room for another open file. Returns how often there was."""
    for times in range(100):
        try:
            act()
        except OSError as error:
            assert "used up" in str(error)  # noqa: PT017 - it is the last of many
            return times
    raise AssertionError("it is never full")


def test_an_open_file_counts_with_what_it_takes_and_not_with_the_batch_made_of_it(root: Path) -> None:
    """Also before the next measure, which would see it."""
    writer = Writer(root, max_spool_bytes=64 * 4096)
    assert until_full(lambda: writer.put_written("x" * 20_000, compressed=True)) == 12
    assert sum(path.stat().st_blocks * 512 for path in writer.directory.glob("*.open")) == 60 * 4096
    assert writer.stats().handed_over == 12


def test_open_files_that_are_being_filled_count_as_much_as_the_last_one_took(root: Path) -> None:
    writer = Writer(root, max_spool_bytes=64 * 4096)
    writer.put_written("x" * 40_000)
    assert until_full(lambda: os.close(writer.hand_over.open_file(writer.ids.draw())[1])) == 5


def test_open_files_count_as_much_as_the_largest_before_the_first_is_handed_over(root: Path) -> None:
    """Callers at full speed fill several before that."""
    writer = Writer(root, max_spool_bytes=64 * 4096)

    def fill_one() -> None:
        with open(writer.hand_over.open_file(writer.ids.draw())[1], "wb") as file:
            file.write(b"x" * 80_000)

    assert until_full(fill_one) == 3


@pytest.mark.parametrize("size", [40_000, 200_000])
def test_a_logging_call_finds_the_room_that_others_made_since_the_spool_was_full(root: Path, size: int) -> None:
    """However long ago that was, and without another batch; and also for files of more than half of the limit."""
    writer = Writer(root, max_spool_bytes=64 * 4096)
    until_full(lambda: writer.put_written("x" * size))
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages()
    assert writer.files == []
    with pytest.raises(OSError, match="used up"):
        writer.hand_over.open_file(writer.ids.draw())  # It measured just now, and does not with every call.
    writer.clock.advance(1.0)
    os.close(writer.hand_over.open_file(writer.ids.draw())[1])


def test_a_logging_call_measures_only_before_it_would_be_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(root)
    writer.put_written("a")
    writer.clock.advance(100.0)
    monkeypatch.setattr(writer.hand_over._files, "charged_for_all", None)
    os.close(writer.hand_over.open_file(writer.ids.draw())[1])


def test_several_writers_together_exceed_the_limit_by_little(root: Path) -> None:
    limit = 400 * 4096
    writers = [Writer(root, max_spool_bytes=limit) for _ in range(4)]
    for number in range(150):
        for writer in writers:
            writer.put(str(number))
    assert sum(writer.stats().pending for writer in writers) > 0
    held = sum(path.stat().st_blocks * 512 for path in writers[0].directory.rglob("*") if path.is_file())
    assert 0.8 * limit < held <= 1.1 * limit


def test_dead_letters_make_way(root: Path) -> None:
    forwarder = Process(root)
    for number in range(10):
        forwarder.outbox.bury(forwarder.load(forwarder.put(f"dead {number}")))
    writer = Writer(root, max_spool_bytes=12 * 4096)
    for number in range(5):
        writer.put(str(number))
    assert writer.stats().handed_over == 5
    assert 0 < len(list((writer.directory / "dead").iterdir())) < 10


def test_a_writer_that_died_leaves_what_was_open_too(root: Path) -> None:
    writer = Writer(root)
    writer.put("a")
    batch_id = writer.ids.draw()
    _, descriptor = writer.hand_over.open_file(batch_id)
    with open(descriptor, "wb") as file:
        file.write(line("b") + b"\n" + line("torn")[:-5])
    forwarder = Process(root)
    forwarder.look()
    assert forwarder.messages() == [["a"]], "its writer lives"
    writer.hand_over.abandon()
    forwarder.look()
    assert forwarder.messages() == [["b"]]


def test_where_the_disk_is_full_open_files_are_sent_all_the_same_which_makes_room(root: Path) -> None:
    """One at a time, because the body of each is in memory meanwhile."""
    writer = Writer(root)
    for message in "abc":
        writer.put_written(message)
    forwarder = Process(root)
    fill_the_disk(forwarder)
    sent = []
    for _ in range(3):
        forwarder.look()
        assert len(forwarder.outbox) == 1
        sent += forwarder.messages()
    assert sent == [["a"], ["b"], ["c"]]
    assert writer.files == []
    assert forwarder.ledger.snapshot().adopted == {"delivered": 3}


def test_one_that_was_not_sent_stays_for_the_next_with_what_is_known_of_it(root: Path) -> None:
    writer = Writer(root)
    batch = writer.put_written("a", "b")
    forwarder = Process(root)
    fill_the_disk(forwarder)
    forwarder.look()
    adopted = forwarder.outbox.next()
    assert adopted is not None
    assert adopted.id.endswith(batch.id[-24:])
    forwarder.outbox.note_lost_answer(adopted)
    assert forwarder.outbox.replace(adopted, forwarder.halves(adopted)) is Replaced.NO_ROOM
    forwarder.outbox.drop_memory("shutdown")
    forwarder.outbox.close()
    assert forwarder.dropped == {}
    assert sorted(name.rpartition(".")[2] for name in writer.files) == ["lost", "open"]
    after = Process(root)
    fill_the_disk(after)
    after.look()
    again = after.outbox.next()
    assert again is not None
    assert (again.id, again.answer_lost) == (adopted.id, True)
    assert after.messages() == [["a", "b"]]
    assert writer.files == []


def test_a_closed_one_unlocks_its_name_unless_something_of_its_is_there(root: Path) -> None:
    writer = Writer(root)
    writer.put("a")
    writer.hand_over.close()
    assert list(writer.directory.glob("*.lock")) == []
    _, descriptor = writer.hand_over.open_file(writer.ids.draw())
    os.close(descriptor)
    writer.hand_over.close()
    assert [path.stem for path in writer.directory.glob("*.lock")] == [writer.ids.owner]
    writer.put("b")
    assert writer.stats().handed_over == 2


def test_what_was_handed_over_is_listed_as_such(root: Path) -> None:
    writer = Writer(root)
    writer.put("a")
    _, descriptor = writer.hand_over.open_file(writer.ids.draw())
    os.close(descriptor)
    assert {each.kind: each.files for each in survey(root)} == {"handed over": 1, "alive": 1}


def test_the_owners_come_in_turn_each_in_its_order(root: Path) -> None:
    first, second, third = (Writer(root) for _ in range(3))
    for number in range(4):
        first.put(f"first {number}")
    second.put("second 0")
    third.put("third 0")
    third.put("third 1")
    forwarder = Process(root)
    forwarder.look()
    sent = [message for (message,) in forwarder.messages()]
    assert [each for each in sent if each.startswith("first")] == [f"first {number}" for number in range(4)]
    assert {each.partition(" ")[0] for each in sent[:3]} == {"first", "second", "third"}
    assert sent[-2:] == ["first 2", "first 3"]
