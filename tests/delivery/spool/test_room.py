"""Room: one limit for all processes that share the directory, in what the disk is charged."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from logcollector_handler.delivery.spool.directory import BLOCK, charge
from logcollector_handler.delivery.spool.room import HOUSEKEEPING
from logcollector_handler.delivery.spool.usage import DEAD
from tests.delivery.spool.processes import Process

LIMIT = 40 * BLOCK


def charged(directory: Path) -> int:
    """What the disk is charged for all files in a directory, as `du` adds it up, and never less than a block each."""
    return sum(charge(path.lstat()) for path in directory.rglob("*") if not path.is_dir())


def test_small_files_count_as_what_the_disk_is_charged(root: Path) -> None:
    process = Process(root, max_bytes=LIMIT)
    for number in range(200):
        process.put(f"{number}")
        assert charged(process.outbox.directory) <= LIMIT
        assert len([path for path in root.rglob("*") if path.is_file()]) <= LIMIT // BLOCK
    kept = LIMIT // BLOCK - HOUSEKEEPING // BLOCK
    assert process.dropped == {"spool_full": 200 - kept}
    assert process.messages() == [[f"{number}"] for number in range(200 - kept, 200)]


def test_an_empty_file_is_charged_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert charge((tmp_path / "empty").stat()) == BLOCK


def test_what_another_process_wrote_a_moment_ago_counts(root: Path) -> None:
    """No look lies between."""
    one, other = Process(root, max_bytes=LIMIT), Process(root, max_bytes=LIMIT)
    one.put("first")
    other.put("first")
    for number in range(100):
        one.put(f"{number}")
    other.put("x" * 10 * BLOCK)
    assert charged(one.outbox.directory) <= LIMIT
    assert other.dropped == {}, "its first alone would not have made the room"
    assert [kept.in_file for kept in other.outbox._shelf.own] == [True, False]


def test_a_spool_that_is_full_of_others_files_takes_none_and_drops_none_of_theirs(root: Path) -> None:
    one, other = Process(root, max_bytes=LIMIT), Process(root, max_bytes=LIMIT, max_memory=5000)
    for number in range(100):
        one.put(f"{number}")
    waiting = len(one.outbox)
    for number in range(10):
        assert other.put(f"{number}").body is not None, "it waits in memory"
    assert len(one.outbox) == waiting
    assert other.dropped == {"buffer_full": 6}
    assert charged(one.outbox.directory) <= LIMIT + HOUSEKEEPING


def test_no_more_goes_than_must(root: Path) -> None:
    processes = [Process(root, max_bytes=LIMIT) for _ in range(4)]
    for number in range(40):
        for process in processes:
            process.put(f"{number}")
    directory = processes[0].outbox.directory
    assert LIMIT - BLOCK <= charged(directory) <= LIMIT


def test_room_that_another_process_gave_back_is_there_at_once(root: Path) -> None:
    one, other = Process(root, max_bytes=LIMIT), Process(root, max_bytes=LIMIT)
    for number in range(100):
        one.put(f"{number}")
    one.messages()
    for number in range(30):
        other.put(f"{number}")
    assert other.dropped == {}
    one.outbox.close()
    assert list((root / one.outbox.directory / "usage").iterdir()) == [
        root / other.outbox.directory / "usage" / other.ids.owner
    ]


def test_what_a_killed_process_left_counts_until_it_is_sent(root: Path) -> None:
    dead, living, heir = (Process(root, max_bytes=LIMIT) for _ in range(3))
    for number in range(20):
        dead.put(f"{number}")
    living.put("first")
    dead.die()
    living.put("x" * 15 * BLOCK)
    assert charged(living.outbox.directory) <= LIMIT
    heir.look()
    sent = heir.messages()
    assert len(sent) == 20
    heir.look()
    living.put("x" * 16 * BLOCK)
    living.put("x" * 16 * BLOCK)
    assert [each.batch.body for each in living.outbox._shelf.own].count(None) == 2


def test_a_process_of_version_0_1_0_counts_by_what_a_look_finds(root: Path) -> None:
    """It writes no number."""
    old, new = Process(root, max_bytes=LIMIT), Process(root, max_bytes=LIMIT)
    for number in range(20):
        old.put(f"{number}")
    shutil.rmtree(old.outbox.directory / "usage")
    new.look()
    assert new.outbox._room.total() == charged(old.outbox.directory) + HOUSEKEEPING
    new.put("x" * 15 * BLOCK)
    assert charged(new.outbox.directory) <= LIMIT


def test_a_batch_can_be_written_while_another_thread_looks_around(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look has read all numbers before ours was there, and tells ours while the batch is written."""
    process = Process(root)
    room, own, usage = process.outbox._room, process.ids.owner, process.outbox._owners.usage
    read, write = usage.read, usage.write
    writing = threading.Thread(target=process.put, args=("a batch",))
    batch_is_under_way, look_tells = threading.Event(), threading.Event()
    # With a lock, one of the two waits for the other: so each of these waits ends.

    def read_in_turn() -> dict[str, int]:
        numbers = read()
        if threading.current_thread() is writing:
            batch_is_under_way.set()
            look_tells.wait(0.2)
        else:
            writing.start()
            batch_is_under_way.wait(0.2)
        return numbers

    def write_in_turn(owner: str, size: int) -> None:
        if threading.current_thread() is not writing:
            look_tells.set()
            writing.join(0.2)
        write(owner, size)

    with monkeypatch.context() as patch:
        patch.setattr(usage, "read", read_in_turn)
        patch.setattr(usage, "write", write_in_turn)
        room.publish_anew()
        writing.join()
    assert [kept.in_file for kept in process.outbox._shelf.own] == [True]
    assert room._granted <= room._told[own] == usage.read()[own]


def test_a_number_that_was_left_without_a_process_is_cleared_away(root: Path) -> None:
    process = Process(root)
    process.put("one")
    process.outbox._owners.usage.write(f"{'0' * 12}-{'1' * 16}", 1 << 40)
    process.look()
    assert process.outbox._room.total() == charged(process.outbox.directory)


@pytest.mark.parametrize("text", [b"", b"rubbish", b"00000000000000004096 00000000000000009", b"\xff" * 200])
def test_a_number_that_cannot_be_read_stops_nobody(root: Path, text: bytes) -> None:
    process = Process(root)
    process.put("one")
    (process.outbox.directory / "usage" / f"{'0' * 12}-{'1' * 16}").write_bytes(text)
    assert process.put("two").body is None


def test_of_a_number_that_is_being_written_the_lower_counts(root: Path) -> None:
    """Its digits may be half old, half new: too low for a moment costs nothing, too high would drop batches."""
    process = Process(root)
    process.put("one")
    place = process.outbox.directory / "usage" / f"{'0' * 12}-{'1' * 16}"
    place.write_bytes(f"{9 * 10**15:020d} {BLOCK:020d}\n".encode())
    place.chmod(0o600)
    assert process.outbox._owners.usage.read()[place.name] == BLOCK


def test_dead_letters_of_another_process_count_and_go_first(root: Path) -> None:
    one, other = Process(root, max_bytes=LIMIT), Process(root, max_bytes=LIMIT)
    for number in range(30):
        assert one.outbox.bury(one.load(one.put(f"refused {number}")))
    for number in range(30):
        other.put(f"{number}")
        assert charged(one.outbox.directory) <= LIMIT
    assert other.dropped == {}


def test_open_files_count(root: Path) -> None:
    process = Process(root, max_bytes=LIMIT)
    process.write_lines("x" * 20 * BLOCK)
    for number in range(40):
        process.put(f"{number}")
    assert charged(process.outbox.directory) <= LIMIT
    assert process.dropped["spool_full"] > 20


class Sharing(RuleBasedStateMachine):
    """Three processes share a directory; each is killed now and then, at any moment, and another comes in its place."""

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.processes = [Process(self.root, max_bytes=LIMIT) for _ in range(3)]

    def teardown(self) -> None:
        for process in getattr(self, "processes", ()):
            process.die()
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    @rule(who=st.integers(0, 2), count=st.integers(1, 15), blocks=st.integers(0, 3))
    def put(self, who: int, count: int, blocks: int) -> None:
        for number in range(count):
            self.processes[who].put(f"{number}".ljust(blocks * BLOCK))

    @rule(who=st.integers(0, 2))
    def deliver(self, who: int) -> None:
        outbox = self.processes[who].outbox
        if (batch := outbox.next()) is not None and outbox.begin(batch) is not None:
            outbox.end(batch)
            assert outbox.remove(batch)

    @rule(who=st.integers(0, 2))
    def bury(self, who: int) -> None:
        outbox = self.processes[who].outbox
        if (batch := outbox.next()) is not None and (loaded := outbox.load(batch)) is not None:
            assert outbox.bury(loaded)

    @rule(who=st.integers(0, 2))
    def look(self, who: int) -> None:
        self.processes[who].look()

    @rule(who=st.integers(0, 2))
    def end(self, who: int) -> None:
        self.processes[who].outbox.close()

    @rule(who=st.integers(0, 2), reserved=st.integers(0, 5))
    def kill(self, who: int, reserved: int) -> None:
        """After it told what it was about to write, and before it wrote it."""
        process = self.processes[who]
        if process.outbox._owners._held:
            usage = process.outbox._owners.usage
            usage.write(process.ids.owner, usage.read().get(process.ids.owner, 0) + reserved * BLOCK)
        process.die()
        self.processes[who] = Process(self.root, max_bytes=LIMIT)

    @invariant()
    def the_limit_holds(self) -> None:
        if hasattr(self, "processes"):
            # Beside it, each process whose batches never fitted has a lock and a number, also when it was killed since.
            owners = [lock.stem for lock in self.root.glob("*/*.lock")]
            empty = [owner for owner in owners if not any(self.root.glob(f"*/{owner}-*"))]
            # And what is written with the first dead letter: its number, and the lock of whoever died meanwhile.
            assert charged(self.root) <= LIMIT + len(empty) * HOUSEKEEPING + 2 * BLOCK

    @invariant()
    def numbers_are_those_of_the_files(self) -> None:
        if not hasattr(self, "processes"):
            return
        usage = self.processes[0].outbox._owners.usage
        numbers = usage.read()
        directory = self.processes[0].outbox.directory
        for process in self.processes:
            for owner in process.outbox._owners._held:
                files = [path for path in directory.glob(f"{owner}*") if path.suffix != ".lock"]
                assert numbers[owner] == sum(charge(path.stat()) for path in files) + HOUSEKEEPING
        letters = directory / "dead"
        assert numbers.get(DEAD, 0) == (charged(letters) if letters.exists() else 0)


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=40, stateful_step_count=30, phases=[Phase.generate])
