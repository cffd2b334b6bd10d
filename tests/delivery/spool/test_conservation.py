"""Whatever happens to a spool, in whatever order: each record is kept once or counted, and sizes are the disk's."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.spool.directory import BLOCK, charge
from logcollector_handler.delivery.spool.room import HOUSEKEEPING
from tests.delivery.harness import WIRE
from tests.delivery.spool.processes import Process, fill_the_disk, messages_of

_MANY = st.integers(1, 5)


class Spool(RuleBasedStateMachine):
    """One process after another uses a small spool on a disk that is full now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.logged = 0
        self.settled: list[str] = []
        #: Records that dead processes had counted as dropped, and those that they had in memory.
        self.lost = 0

    @initialize()
    def start(self) -> None:
        self.process = Process(self.root, max_bytes=HOUSEKEEPING + 7 * BLOCK, max_memory=4000)
        self.write = self.process.outbox._files.write

    def teardown(self) -> None:
        if hasattr(self, "process"):
            self.crash()
            self.look()
            self.settled += [message for batch in self.process.messages() for message in batch]
            assert len(self.settled) == len(set(self.settled)), "a record came twice"
            assert len(self.settled) + self.lost == self.logged
            assert [name for name in self.process.files if name != "dead"] == []
            self.process.die()
        shutil.rmtree(self.root)

    def _new(self, count: int) -> list[str]:
        self.logged += count
        return [f"{self.logged - each}".ljust(60) for each in range(count)]

    def _oldest(self) -> Batch | None:
        return self.process.outbox.next()

    # What the listener and the journal do

    @rule(count=_MANY, compressed=st.booleans())
    def put(self, count: int, compressed: bool) -> None:
        self.process.put(*self._new(count), compressed=compressed)

    @rule()
    def put_what_is_too_large(self) -> None:
        self.process.put(*self._new(200))

    @rule(count=_MANY)
    def put_from_an_open_file(self, count: int) -> None:
        messages = self._new(count)
        self.process.put_as(self.process.write_lines(*messages), *messages)

    # What the sender does

    @rule()
    def deliver(self) -> None:
        batch = self._oldest()
        if batch is not None and (loaded := self.process.outbox.begin(batch)) is not None:
            assert self.process.outbox.remove(batch)
            self.process.outbox.end(batch)
            self.process.ledger.deliver(loaded.count, 0, 0, adopted=loaded.adopted)
            self.settled += messages_of(loaded)

    @rule(ended=st.booleans())
    def begin(self, ended: bool) -> None:
        batch = self._oldest()
        if batch is not None:
            assert self.process.outbox.begin(batch) is not None
            if ended:
                self.process.outbox.end(batch)

    @rule()
    def set_aside(self) -> None:
        if (batch := self._oldest()) is not None:
            self.process.outbox.set_aside(batch)

    @rule()
    def split(self) -> None:
        batch = self._oldest()
        if batch is not None and (loaded := self.process.load(batch)).entries > 1:
            self._replace(batch, loaded.halves(WIRE))

    @rule()
    def send_plain(self) -> None:
        batch = self._oldest()
        if batch is not None and batch.compressed:
            self._replace(batch, (self.process.load(batch).uncompressed(WIRE),))

    def _replace(self, batch: Batch, successors: tuple[Batch, ...]) -> None:
        shelf = self.process.outbox._shelf
        before = shelf.get(batch)
        done = self.process.outbox.replace(batch, successors)
        assert done is not Replaced.GONE
        if done is Replaced.NO_ROOM:
            assert shelf.get(batch) is before
        else:
            assert before is not None
            kept = [shelf.get(each) for each in successors]
            assert all(each is not None and each.in_file >= before.in_file for each in kept)

    @rule()
    def bury(self) -> None:
        batch = self._oldest()
        if batch is not None:
            loaded = self.process.load(batch)
            assert self.process.outbox.bury(loaded)
            self.process.ledger.bury(loaded.count, adopted=loaded.adopted)
            self.settled += messages_of(loaded)

    @rule()
    def look(self) -> None:
        self.process.look()

    # What happens to processes and disks

    @rule(room=st.integers(0, 2))
    def the_disk_fills(self, room: int) -> None:
        self.process.outbox._files.write = self.write  # type: ignore[method-assign]  # stands for the disk
        fill_the_disk(self.process, room)

    @rule()
    def the_disk_is_emptied(self) -> None:
        self.process.outbox._files.write = self.write  # type: ignore[method-assign]  # stands for the disk

    @rule()
    def exit(self) -> None:
        self.process.outbox.drop_memory("shutdown")
        self.process.outbox.close()

    @precondition(lambda self: self.logged)
    @rule()
    def crash(self) -> None:
        outbox = self.process.outbox
        gone = [kept for kept in outbox._shelf.own if not outbox._bodies.survives(kept)]
        stats = self.process.ledger.snapshot()
        self.lost += sum(kept.batch.count for kept in gone) + sum(stats.dropped.values())
        self.process.die()
        self.start()

    # What holds all the time

    @invariant()
    def sizes_are_those_of_the_files(self) -> None:
        if not hasattr(self, "process") or not (directory := self.process.outbox.directory).exists():
            return
        outbox, shelf = self.process.outbox, self.process.outbox._shelf
        kept = [*shelf.own, *shelf.adopted]
        mine = {outbox._bodies.name(each.batch): each.charge for each in kept if each.in_file}
        on_disk = {path.name: charge(path.stat()) for path in directory.glob("*.json*")}
        assert mine.items() <= on_disk.items()
        assert sum(shelf.charges.values()) == sum(mine.values())
        assert shelf.memory_bytes == sum(each.batch.memory_bytes for each in kept if not each.in_file)
        assert outbox._room.reserved == 0
        for side in (shelf.own, *shelf.adopted._orders.values()):
            assert [each for each in side if each.batch.id in side._ready] == list(side._ready.values())
        # What is not ours was left by a dead process, and not looked at yet.
        assert not [name for name in on_disk.keys() - mine.keys() if name.startswith(self.process.ids.owner)]

    @invariant()
    def counts_are_those_of_the_batches(self) -> None:
        if hasattr(self, "process"):
            stats = self.process.ledger.snapshot()
            assert stats.pending == sum(kept.batch.count for kept in self.process.outbox._shelf.own)


TestSpool = Spool.TestCase
TestSpool.settings = settings(max_examples=60, stateful_step_count=40)
