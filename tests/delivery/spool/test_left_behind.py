"""What dead processes left, in bulk and in bad shape: it delays nobody, and what is damaged is counted and kept."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from logcollector_handler.delivery.spool import owners
from tests.delivery.harness import Bench, answer_lost, batch_of, line, ok, status
from tests.delivery.spool.processes import Process, Writer


def left_behind(root: Path, *messages: str) -> Process:
    dead = Process(root)
    for message in messages:
        dead.put(message)
    dead.die()
    return dead


def test_our_own_batches_and_adopted_ones_go_in_turn(root: Path) -> None:
    left_behind(root, *(f"theirs {number}" for number in range(5)))
    process = Process(root)
    process.look()
    process.put("ours 0")
    process.put("ours 1")
    sent = [message for (message,) in process.messages()]
    assert sent == ["theirs 0", "ours 0", "theirs 1", "ours 1", "theirs 2", "theirs 3", "theirs 4"]


def test_an_attempt_that_failed_does_not_hold_the_turn_of_the_other_side(root: Path) -> None:
    left_behind(root, "theirs")
    process = Process(root)
    process.look()
    process.put("ours")
    asked = []
    for _ in range(4):
        batch = process.outbox.next()
        assert batch is not None
        assert process.outbox.next() == batch, "to ask changes nothing"
        loaded = process.outbox.begin(batch)
        process.outbox.end(batch)
        assert loaded is not None
        asked.append(batch.adopted)
    assert asked == [True, False, True, False]


def test_adoption_reads_and_writes_no_file_of_a_batch(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(root, *(f"{number}" for number in range(300)))
    process = Process(root)
    opened: list[str] = []
    open_file = os.open

    def counting(path: object, *arguments: object, **options: object) -> int:
        opened.append(str(path))
        return open_file(path, *arguments, **options)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(os, "open", counting)
    process.look()
    assert len(process.outbox) == 300
    assert [name for name in opened if ".json" in name] == []
    assert len(opened) < 60, "directories, locks and numbers"


def test_dead_owners_are_locked_a_few_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lock takes a descriptor from the application."""
    monkeypatch.setattr(owners, "_AT_ONCE", 3)
    for number in range(10):
        left_behind(root, f"{number}")
    process = Process(root)
    sent = []
    process.look()
    while len(process.outbox):
        assert len(process.outbox._owners._held) <= 4
        sent += process.messages()
        # No time passes: the next look comes as soon as these are sent.
        process.outbox.look()
    assert sorted(sent) == [[f"{number}"] for number in range(10)]


def test_damaged_lines_of_an_open_file_are_counted_kept_and_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one", torn=b"\0\0\0\n" + line("two")[5:] + b"\n" + line("three") + b"\n" + b'{"level')
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["one", "three"]]
    assert heir.ledger.snapshot().adopted == {"dropped": 2, "delivered": 2}
    kept = heir.outbox.directory / "dead" / f"{batch_id}.open.damaged"
    assert kept.read_bytes() == b"\0\0\0\n" + line("two")[5:] + b"\n"
    assert f"2 records in {batch_id}.open are damaged" in capsys.readouterr().err
    assert heir.files == ["dead"]


def test_an_open_file_without_a_whole_line_is_counted_too(root: Path) -> None:
    dead = Process(root)
    dead.write_lines(torn=b"rubbish\nmore\n")
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == []
    assert heir.ledger.snapshot().adopted == {"dropped": 2}
    assert heir.files == ["dead"]


def test_damaged_lines_that_cannot_be_kept_do_not_keep_the_others_from_being_sent(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = Process(root)
    dead.write_lines("one", torn=b"rubbish\n")
    (dead.outbox.directory / "dead").write_text("a file where the directory should be")
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["one"]]
    assert "could not be kept" in capsys.readouterr().err


def test_what_unpacks_to_too_much_goes_to_the_dead_letters_without_being_unpacked(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = Process(root)
    bomb = dead.put("bomb", compressed=True)
    dead.put("last")
    path = dead.outbox.directory / f"{bomb.id}.json.gz"
    path.write_bytes(gzip.compress(b'{"logs":[' + b" " * (400 << 20), 1))
    dead.die()
    heir = Process(root)
    heir.look()
    tracemalloc.start()
    assert heir.messages() == [["last"]]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20
    assert "unpacks to more than" in capsys.readouterr().err
    assert heir.ledger.snapshot().adopted == {"dropped": 1, "delivered": 1}
    assert [each.name for each in (heir.outbox.directory / "dead").iterdir()] == [f"{path.name}.damaged"]


def test_an_open_file_that_is_too_long_is_not_read(root: Path) -> None:
    dead = Process(root)
    batch_id = dead.write_lines("one")
    dead.put("last")
    os.truncate(dead.outbox.directory / f"{batch_id}.open", 1 << 40)
    dead.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["last"]]
    assert heir.ledger.snapshot().adopted == {"dropped": 1, "delivered": 1}
    assert not (heir.outbox.directory / f"{batch_id}.open").exists()


def sender_of(process: Process) -> Bench:
    bench = Bench(clock=process.clock, make_outbox=lambda max_bytes, ledger: process.outbox)
    bench.ledger = process.ledger
    bench.sender._ledger = process.ledger
    return bench


@pytest.mark.parametrize("lost", [True, False])
def test_a_batch_of_which_an_answer_was_lost_is_not_split_by_the_next_process(root: Path, lost: bool) -> None:
    """The server may have stored it under its id, and would store the halves again."""
    process = Process(root)
    bench = sender_of(process)
    process.put("one", "two")
    bench.transport.rule = answer_lost if lost else status(503)
    bench.step()
    assert [name.rpartition(".")[2] for name in process.files] == (["json", "lost"] if lost else ["json"])
    process.die()
    heir = Process(root)
    bench = sender_of(heir)
    bench.transport.rule = lambda request: status(500)(request) if "one" in request.messages else ok(request)
    for _ in range(40):
        heir.outbox.put(batch_of(heir.ids.draw(), "other"))
        bench.run(5.0)
    split = [key for key in bench.keys if key.endswith(".0")]
    assert bool(split) is not lost
    bench.transport.rule = ok
    bench.run(100.0)
    assert [name for name in heir.files if name != "dead"] == []


def test_a_batch_on_which_the_server_fails_holds_up_no_other_of_its_writer(root: Path) -> None:
    """Those that come later prove that the server works, and that this one is at fault."""
    writer, forwarder = Writer(root), Process(root)
    bench = sender_of(forwarder)
    bench.transport.rule = lambda request: status(500)(request) if "poison" in request.messages else ok(request)
    writer.put("poison")
    for number in range(20):
        bench.run(20.0)
        writer.put(f"{number}")
    bench.run(100.0)
    assert sorted(forwarder.files) == ["dead"]
    (letter,) = (writer.directory / "dead").iterdir()
    assert b"poison" in letter.read_bytes()


def test_a_mark_without_a_batch_is_cleared_away(root: Path) -> None:
    dead = left_behind(root, "one")
    (dead.outbox.directory / f"{dead.ids.draw()}.lost").touch()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["one"]]
    assert heir.files == []
