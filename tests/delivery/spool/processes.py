"""What the tests of the spool share: a process that uses a spool, and the batches that it makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from logcollector_handler.delivery.batch import Batch, BatchIds
from logcollector_handler.delivery.clock import Wakeup
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.spool import LOOK_EVERY, HandOver, SpoolOutbox, destination
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from tests.delivery.harness import WIRE, FakeClock, batch_of, line
from tests.delivery.pipelines import records_add_up

URL = "http://logs.test:8000/prefix"


def messages_of(batch: Batch) -> list[str]:
    return [json.loads(bytes(run.encoded))["message"] for run in batch.runs(WIRE)]


class Process:
    """What one process does with a spool: its own ids, its own lock."""

    def __init__(
        self, root: Path, max_bytes: int = 1 << 30, url: str = URL, fsync: bool = False, max_memory: int = 100_000
    ) -> None:
        self.clock = FakeClock()
        self.ids = BatchIds(1_700_000_000.0)
        self.ledger = Ledger(self.clock)
        self.outbox = SpoolOutbox(
            root=str(root),
            destination=destination(url, "collector"),
            wire=WIRE,
            max_bytes=max_bytes,
            max_batch_bytes=1 << 20,
            max_memory=max_memory,
            owner=self.ids.owner,
            compression=True,
            fsync=fsync,
            ledger=self.ledger,
            reporter=Reporter(self.clock.monotonic),
            clock=self.clock,
        )

    def put(self, *messages: str, compressed: bool = False) -> Batch:
        """Put a batch, as the listener does; returned as it stands in the outbox, or as it was put if it left."""
        return self.put_as(self.ids.draw(), *messages, compressed=compressed)

    def put_as(self, batch_id: str, *messages: str, compressed: bool = False) -> Batch:
        batch = batch_of(batch_id, *messages, compressed=compressed)
        self.ledger.take(batch.count)
        self.outbox.put(batch)
        here = self.outbox._shelf.get(batch)
        return batch if here is None else here.batch

    def write_lines(self, *messages: str, torn: bytes = b"") -> str:
        """Write an open file, as the journal does; returns the id of its batch."""
        batch_id = self.ids.draw()
        _, descriptor = self.outbox.open_file(batch_id)
        with open(descriptor, "wb") as file:
            file.write(b"".join(line(message) + b"\n" for message in messages) + torn)
        return batch_id

    def load(self, batch: Batch) -> Batch:
        loaded = self.outbox.load(batch)
        assert loaded is not None
        return loaded

    def halves(self, batch: Batch) -> tuple[Batch, Batch]:
        return self.load(batch).halves(WIRE)

    def look(self) -> None:
        self.clock.advance(LOOK_EVERY)
        self.outbox.look()

    def messages(self) -> list[list[str]]:
        """What is sent, batch by batch, in order; and it is gone."""
        sent = []
        while (batch := self.outbox.next()) is not None:
            loaded = self.outbox.begin(batch)
            if loaded is None:
                continue
            sent.append(messages_of(loaded))
            self.outbox.end(batch)
            self.outbox.remove(batch)
            self.ledger.deliver(loaded.count, loaded.encoded_bytes, loaded.size, adopted=loaded.adopted)
        return sent

    def die(self) -> None:
        """As the system sees it: the descriptors are closed, and nothing else is done."""
        self.outbox.abandon()

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.ledger.snapshot().dropped)

    @property
    def files(self) -> list[str]:
        """Names in the directory, but for locks and the numbers of bytes used."""
        paths = self.outbox.directory.glob("*")
        return sorted(path.name for path in paths if path.suffix != ".lock" and path.name != "usage")


class Writer:
    """A process that leaves its batches to others."""

    def __init__(self, root: Path, url: str = URL, **changes: Any) -> None:
        self.clock = FakeClock()
        self.ids = BatchIds(1_700_000_000.0)
        self.ledger = Ledger(self.clock)
        self.wakeup = Wakeup()
        self.hand_over = HandOver(
            settings=Settings(server_url=url, spool_dir=str(root), deliver=False, **changes),
            wire=WIRE,
            owner=self.ids.owner,
            heir=BatchIds(1_700_000_000.0).owner,
            wakeup=self.wakeup,
            ledger=self.ledger,
            reporter=Reporter(self.clock.monotonic),
            clock=self.clock,
        )

    def put(self, *messages: str, compressed: bool = False) -> Batch:
        """As the listener does."""
        batch = batch_of(self.ids.draw(), *messages, compressed=compressed, ordinal=self.ledger.passed)
        self.ledger.take(batch.count)
        assert self.ledger.hand_over(batch.count)
        self.hand_over.put(batch)
        return batch

    def put_written(self, *messages: str, missing: int = 0, compressed: bool = False) -> Batch:
        """As the listener does with a file of the journal. `missing`: so many last lines are in memory only."""
        batch = batch_of(self.ids.draw(), *messages, compressed=compressed, ordinal=self.ledger.passed)
        _, descriptor = self.hand_over.open_file(batch.id)
        with open(descriptor, "wb") as file:
            file.writelines(line(message) + b"\n" for message in messages[: len(messages) - missing])
        self.ledger.take(batch.count)
        assert self.ledger.hand_over(batch.count)
        self.hand_over.put(batch)
        return batch

    @property
    def directory(self) -> Path:
        return self.hand_over._files.place.path

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.is_file() and path.suffix != ".lock")

    def stats(self) -> Stats:
        stats = self.ledger.snapshot()
        assert records_add_up(stats), stats
        return stats


def fill_the_disk(process: Process, room: int = 0) -> None:
    """From now on the disk takes that many more files, and then none."""
    real = process.outbox._files.write
    left = [room]

    def write(name: str, body: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        return real(name, body)

    process.outbox._files.write = write  # type: ignore[method-assign]  # stands for the disk


def other_process(root: Path, act: str) -> str:
    """What another process prints, which looks into the spool. A real one: a process gets its own locks again."""
    script = f"""
from pathlib import Path
from tests.delivery.spool.processes import Process
other = Process(Path({str(root)!r}))
other.look()
{act}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    return done.stdout.strip()
