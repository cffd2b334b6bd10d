"""Reading a batch that is to be posted, and what becomes of it when its file cannot be read.

A damaged file goes to `dead/`, and its batch counts as dropped. A file that cannot be read now, or is another user's,
stays where it is, and the batch waits.
"""

from __future__ import annotations

import threading

from logcollector_handler.delivery.answers import backoff
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.clock import Clock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.report import Reporter

from .bodies import Bodies, DamagedError
from .directory import NotOursError
from .files import SpoolFiles, owner_of
from .room import Room
from .shelf import Kept, Shelf


class Reader:
    """Reads batches that are on the shelf. `lock` guards the shelf."""

    def __init__(
        self,
        files: SpoolFiles,
        bodies: Bodies,
        shelf: Shelf,
        room: Room,
        lock: threading.RLock,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self._files = files
        self._bodies = bodies
        self._shelf = shelf
        self._room = room
        self._lock = lock
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock

    def read(self, kept: Kept) -> Batch:
        """A batch with its body. Raises DamagedError or OSError."""
        loaded = self._bodies.read(kept)
        if kept.in_file and kept.checksum is None:
            with self._lock:
                kept.learn(loaded)
        return loaded

    def read_or_judge(self, here: Kept) -> Batch | None:
        """A batch with its body. None: the file was damaged and the batch is dropped, or it cannot be read now."""
        try:
            loaded = self.read(here)
        except DamagedError as error:
            self._drop(here, error)
        except OSError as error:
            self._postpone(here, error)
        else:
            here.failures = 0
            return loaded
        return None

    def _drop(self, here: Kept, damage: DamagedError) -> None:
        name = self._bodies.name(here.batch)
        try:
            self._room.count_dead(self._files.bury_damaged(name))
        except FileNotFoundError:
            pass
        except OSError as error:
            self._postpone(here, error)
            return
        with self._lock:
            if self._shelf.take_out(here.batch) is None:
                return
        self._bodies.erase(here)
        self._room.publish(owner_of(here.batch.id))
        path = self._files.place.path / name
        self._reporter.say("damaged", f"{path} is damaged or gone ({damage}); if it is there, it is in dead/ now")
        # Of an adopted file that was never read nobody knows how many records were in it.
        count = 1 if here.checksum is None else here.batch.count
        self._ledger.drop("spool_damaged", count, adopted=here.batch.adopted, untold=here.batch.losses)

    def _postpone(self, here: Kept, error: OSError) -> None:
        here.failures += 1
        if here.failures == 1:
            path = self._files.place.path / self._bodies.name(here.batch)
            why = error.strerror if isinstance(error, NotOursError) else f"{path} cannot be read now ({error.strerror})"
            self._reporter.say("unreadable", f"a batch waits in the spool: {why}; it stays there and is tried again")
        with self._lock:
            self._shelf.postpone(here.batch, self._clock.monotonic() + backoff(here.failures, 0.5))
