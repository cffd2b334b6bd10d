"""The spool: files that survive, that others take over, and that may be damaged in every way."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery import spool
from logcollector_handler.delivery.batch import Batch, BatchIds
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.spool import LOOK_EVERY, SpoolOutbox, destination
from tests.delivery.fakes import FakeClock, batch_of

URL = "http://logs.test:8000/prefix"


class Process:
    """What one process does with a spool: its own ids, its own lock."""

    def __init__(self, root: Path, max_bytes: int = 1 << 30, url: str = URL, fsync: bool = False) -> None:
        self.clock = FakeClock()
        self.ids = BatchIds(1_700_000_000.0)
        self.gone: list[tuple[str, str]] = []
        self.outbox = SpoolOutbox(
            root=str(root),
            server_url=url,
            max_bytes=max_bytes,
            max_memory=100_000,
            owner=self.ids.owner,
            fsync=fsync,
            give_up=lambda batch, reason: self.gone.append((batch.id, reason)),
            reporter=Reporter(self.clock.monotonic),
            clock=self.clock,
        )

    def put(self, *messages: str, compressed: bool = False) -> Batch:
        batch = batch_of(self.ids.draw(), *messages, compressed=compressed)
        self.outbox.put(batch)
        return batch

    def look(self) -> None:
        self.clock.advance(LOOK_EVERY)
        self.outbox.look()

    def messages(self) -> list[list[str]]:
        """What is sent, batch by batch, in order; and it is gone."""
        sent = []
        while (batch := self.outbox.next()) is not None:
            body = self.outbox.begin(batch)
            if body is None:
                continue
            sent.append([json.loads(each)["message"] for each in batch.lines(body)])
            self.outbox.end(batch)
            self.outbox.remove(batch)
        return sent

    def die(self) -> None:
        """As the system sees it: the descriptors are closed, and nothing else is done."""
        self.outbox.abandon()

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.outbox.directory.iterdir() if path.suffix != ".lock")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_a_batch_is_a_file_with_exactly_the_body_that_is_posted(root: Path) -> None:
    process = Process(root)
    plain = process.put("one", "two")
    packed = process.put("three", compressed=True)
    directory = process.outbox.directory
    assert process.files == [f"{plain.id}.json", f"{packed.id}.json.gz"]
    assert (directory / f"{plain.id}.json").read_bytes() == process.outbox.begin(plain)
    assert (directory / f"{packed.id}.json.gz").read_bytes() == process.outbox.begin(packed)
    assert (
        json.loads(gzip.decompress((directory / f"{packed.id}.json.gz").read_bytes()))["logs"][0]["message"] == "three"
    )


def test_only_its_owner_can_read_it(root: Path) -> None:
    process = Process(root)
    process.put("one")
    for path in [root, process.outbox.directory]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in process.outbox.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_batch_leaves_when_it_is_settled(root: Path) -> None:
    process = Process(root)
    process.put("one")
    process.put("two")
    assert process.messages() == [["one"], ["two"]]
    assert process.files == []


def test_bodies_do_not_stay_in_memory(root: Path) -> None:
    assert Process(root).put("one").body is None


def test_what_a_dead_process_left_is_taken_over_in_order_under_its_keys(root: Path) -> None:
    dead = Process(root)
    ids = [dead.put(each).id for each in "abc"]
    dead.die()
    heir = Process(root)
    heir.look()
    taken = []
    while (batch := heir.outbox.next()) is not None:
        assert heir.outbox.begin(batch)
        assert (batch.adopted, batch.count) == (True, 1)
        taken.append(batch.id)
        heir.outbox.remove(batch)
    assert taken == ids
    heir.look()
    assert [path.name for path in heir.outbox.directory.iterdir()] == []


def test_what_a_living_process_has_is_left_alone(root: Path) -> None:
    """A real one: locks of the same process do not keep it out."""
    Process(root).put("theirs")
    script = f"""
import sys
from tests.delivery.test_spool import Process
from pathlib import Path
from typing import Any
other = Process(Path({str(root)!r}))
other.look()
print(other.messages())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_a_forked_child_does_not_keep_its_parents_lock_alive(root: Path) -> None:
    process = Process(root)
    process.put("left behind")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        # Lives on without having closed anything.
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        process.die()
        heir = Process(root)
        heir.look()
        assert heir.messages() == [["left behind"]]
    finally:
        os.write(writer, b"x")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_another_destination_is_another_directory(root: Path) -> None:
    here = Process(root)
    here.put("here")
    here.die()
    there = Process(root, url="http://other.test")
    there.look()
    assert there.messages() == []
    names = {
        destination(url) for url in (URL, "http://logs.test:8000", "https://logs.test:8000/prefix", "http://logs.test")
    }
    assert len(names) == 4
    assert destination("http://me:secret@logs.test:8000/prefix") == destination(URL)


def in_its_place(path: Path, make: Callable[[], None]) -> None:
    path.unlink()
    make()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a torn tail": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "no content": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
    "another shape": lambda path: path.write_bytes(b'{"logs": 5}'.ljust(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a directory": lambda path: in_its_place(path, path.mkdir),
    "a link": lambda path: in_its_place(path, lambda: path.symlink_to("/etc/passwd")),
    "a pipe": lambda path: in_its_place(path, lambda: os.mkfifo(path)),
}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("adopted", [True, False])
def test_a_damaged_file_stops_nobody_and_is_counted(root: Path, name: str, compressed: bool, adopted: bool) -> None:
    process = Process(root)
    process.put("first")
    hurt = process.put("hurt", compressed=compressed)
    process.put("last")
    if adopted:
        process.die()
    DAMAGE[name](process.outbox.directory / f"{hurt.id}.json{'.gz' if compressed else ''}")
    user = Process(root) if adopted else process
    if adopted:
        user.look()
    sent = user.messages()
    assert sent == [["first"], ["last"]]
    # What is no file at all was never taken over.
    expected = [] if adopted and name in ("gone", "a directory", "a link", "a pipe") else [(hurt.id, "spool_damaged")]
    assert user.gone == expected


def test_a_file_that_is_damaged_after_the_first_attempt_is_not_sent_nor_cut(root: Path) -> None:
    """Of an adopted batch too: the one that was sent before was another body, under the same key."""
    process = Process(root)
    hurt = process.put("one", "two")
    process.die()
    user = Process(root)
    user.look()
    (batch,) = user.outbox._adopted.values()
    assert user.outbox.begin(batch) is not None
    user.outbox.end(batch)
    path = user.outbox.directory / f"{hurt.id}.json"
    path.write_bytes(path.read_bytes().replace(b"two", b"2"))
    assert user.outbox.read(batch) is None
    assert user.outbox.begin(batch) is None
    assert user.gone == [(hurt.id, "spool_damaged")]


@pytest.mark.parametrize("name", ["notes.txt", "x.json", ".hidden", "0" * 12 + ".json.gz"])
def test_a_foreign_file_is_left_alone(root: Path, name: str) -> None:
    process = Process(root)
    process.put("one")
    foreign = process.outbox.directory / name
    foreign.write_text("mine")
    process.look()
    assert process.messages() == [["one"]]
    assert foreign.read_text() == "mine"


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


def test_a_split_that_was_interrupted_is_finished_or_undone(root: Path) -> None:
    for halves, expected in (([], ["ab"]), ([0], ["ab"]), ([0, 1], ["a", "b"])):
        dead = Process(root)
        batch = dead.put("a", "b")
        body = dead.outbox.read(batch)
        assert body is not None
        children = batch.children(body)
        for half in halves:
            dead.outbox.put(children[half])
        dead.die()
        heir = Process(root)
        heir.look()
        assert ["".join(each) for each in heir.messages()] == expected
        heir.die()


def test_a_split_replaces_its_parent_in_place(root: Path) -> None:
    process = Process(root)
    first = process.put("a", "b")
    process.put("c")
    body = process.outbox.read(first)
    assert body is not None
    assert process.outbox.replace(first, first.children(body))
    assert process.files[0] == f"{first.id}.0.json"
    assert process.messages() == [["a"], ["b"], ["c"]]
    assert process.files == []


def test_the_directory_is_bounded_and_the_oldest_goes(root: Path) -> None:
    process = Process(root, max_bytes=1000)
    for number in range(20):
        process.put(f"{number}" + "x" * 100)
    assert sum(path.stat().st_size for path in process.outbox.directory.iterdir()) <= 1000
    assert {reason for _, reason in process.gone} == {"spool_full"}
    assert [each[0][:2] for each in process.messages()][-1] == "19"


def test_what_is_in_flight_or_anothers_is_not_evicted(root: Path) -> None:
    other = Process(root)
    theirs = other.put("x" * 400)
    process = Process(root, max_bytes=1000)
    process.outbox._other_bytes = 500
    flying = process.put("flying" + "x" * 200)
    process.outbox.begin(flying)
    kept = [process.put(f"{number}" + "x" * 200) for number in range(3)]
    assert (other.outbox.directory / f"{theirs.id}.json").exists()
    assert flying.body is None
    assert process.outbox.read(flying) is not None
    # With nothing left to evict, the batch waits in memory.
    assert kept[-1].body is not None


def test_dead_letters_are_kept_and_go_first(root: Path) -> None:
    process = Process(root, max_bytes=1000)
    refused = process.put("refused" + "x" * 300)
    assert process.outbox.bury(refused)
    (letter,) = (process.outbox.directory / "dead").iterdir()
    assert json.loads(letter.read_bytes())["logs"][0]["message"].startswith("refused")
    for number in range(2):
        process.put(f"{number}" + "x" * 300)
    assert not letter.exists()
    assert process.gone == []


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="root writes everywhere")
def test_a_disk_that_takes_nothing_degrades_to_memory_and_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root.parent.mkdir(exist_ok=True)
    root.write_text("a file where the directory should be")
    process = Process(root)
    batch = process.put("one")
    assert batch.body is not None
    assert "wait in memory" in capsys.readouterr().err
    root.unlink()
    process.put("two")
    assert process.messages() == [["one"], ["two"]]
    assert process.outbox.clear() == []


def test_a_directory_that_is_deleted_under_way_is_made_again(root: Path) -> None:
    import shutil

    process = Process(root)
    process.put("lost")
    shutil.rmtree(root)
    process.put("kept")
    assert process.messages() == [["kept"]]
    assert [reason for _, reason in process.gone] == ["spool_damaged"]


def test_the_end_of_the_process_loses_only_what_is_in_memory(root: Path) -> None:
    process = Process(root)
    process.put("on disk")
    process.outbox._own_directory = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # type: ignore[method-assign]
    process.put("in memory")
    assert [batch.body is not None for batch in process.outbox.clear()] == [True]
    assert len(process.files) == 1


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


def test_others_that_look_around_do_not_disturb_a_lock_that_is_being_made(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Process(root)
    other.put("theirs")
    process = Process(root)
    rename = os.rename

    def after_a_look(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        with monkeypatch.context() as patch:
            # As seen from another process.
            patch.setattr(spool, "_own", {other.ids.owner})
            other.look()
        rename(source, target)

    monkeypatch.setattr(os, "rename", after_a_look)
    batch = process.put("mine")
    assert batch.body is None, "it waits in memory"


def test_a_lock_that_never_was_one_is_cleared_away_and_one_removed_too_early_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(root)
    process.put("one")
    unborn = process.outbox.directory / f"{'0' * 12}-{'1' * 16}.new"
    unborn.touch()
    os.utime(unborn, (process.clock.time() - 100,) * 2)
    process.look()
    assert not unborn.exists()
    slow = Process(root)
    rename = os.rename

    def too_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        os.unlink(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", too_late)
    assert slow.put("two").body is None, "it waits in memory"
