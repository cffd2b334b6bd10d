"""Now and then a process looks at the whole directory, adopts what dead processes left, and counts afresh."""

from __future__ import annotations

import threading
from typing import Final

from logcollector_handler.delivery.clock import Clock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.report import Reporter

from .adoption import look_around
from .bodies import Bodies
from .directory import NotOursError
from .files import SpoolFiles, owner_of
from .owners import Owners
from .room import Room
from .shelf import Shelf

#: Seconds between two looks, unless somebody wants them more often.
LOOK_EVERY: Final = 10.0
#: The pause after a look is at least this many times as long as the look took; less for who does little else.
_LOOK_SHARE: Final = 20
_FREQUENT_SHARE: Final = 2


class Looks:
    """Looks, and puts what was adopted on the shelf. The sender's thread alone calls it.

    Args:
        lock: guards the shelf.
        every: seconds between two looks. None: LOOK_EVERY.
    """

    def __init__(
        self,
        files: SpoolFiles,
        bodies: Bodies,
        owners: Owners,
        shelf: Shelf,
        room: Room,
        lock: threading.RLock,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        every: float | None,
    ) -> None:
        self._files = files
        self._bodies = bodies
        self._owners = owners
        self._shelf = shelf
        self._room = room
        self._lock = lock
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._next_look = clock.monotonic()
        self._every = every
        # The last look may have left owners to the next, which comes when the batches of the others are sent. And those
        # who hand over may have done so again by then.
        self._is_more_left = False

    def look_at_once(self) -> None:
        """Make the next call of `look` look around."""
        self._next_look = self._clock.monotonic()

    def look(self) -> float:
        """Look around if it is time to. Returns the seconds until the next look, or until a file is read again."""
        now = self._clock.monotonic()
        if now >= self._next_look or (self._is_more_left and not len(self._shelf.adopted)):
            try:
                self._look_around()
            except NotOursError as error:
                self._reporter.say("foreign", f"nothing is sent from {self._files.place.path}: {error.strerror}")
            except OSError:
                pass  # Nothing was ever kept here, or the directory cannot be read now.
            began, now = now, self._clock.monotonic()
            # A look at many thousand files takes long, and nothing is sent meanwhile: make it rare.
            every, share = (LOOK_EVERY, _LOOK_SHARE) if self._every is None else (self._every, _FREQUENT_SHARE)
            self._next_look = now + max(every, share * (now - began))
        with self._lock:
            return max(0.0, min(self._next_look, self._shelf.resumes_at) - now)

    def _look_around(self) -> None:
        self._is_more_left = False
        self._bodies.remove_the_rest()
        self._owners.renew()
        self._release()
        with self._lock:
            shelved = list(self._shelf.adopted)
            self._room.adopted = self._owners.held
        try:
            found = look_around(self._files, self._bodies, self._owners, self._reporter, self._clock.time(), shelved)
            if found.damaged:
                self._ledger.drop("spool_damaged", found.damaged, adopted=True)
            held = self._owners.held
            with self._lock:
                for kept in [each for each in self._shelf.adopted if owner_of(each.batch.id) not in held]:
                    self._shelf.take_out(kept.batch)  # Another process has locked its owner since.
                for kept in found.adopted:
                    self._shelf.add(kept)
                self._room.adopted, self._room.silent = held, found.silent
                self._is_more_left = found.more or len(self._shelf.adopted) > 0
        finally:
            self._release()
        self._room.publish_anew()

    def _release(self) -> None:
        """Unlock the dead owners all of whose batches are sent."""
        with self._lock:
            waiting = {owner_of(kept.batch.id) for kept in self._shelf.adopted}
        self._owners.release_all_but(waiting)
