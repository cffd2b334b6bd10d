"""Owners: which process the files belong to, and which one takes over the files of a dead process.

The batch ids of one handler in one process begin with its owner, and the handler keeps `<owner>.lock` locked while it
has files in the directory. The system releases the lock when the process dies, however it dies. The next process that
looks around gets the lock, and with it the files.

The locks are those of `lockf`, which belong to a process and not to a descriptor. So no child inherits them, not even
one of a fork that Python did not see: a lock that belongs to a descriptor (`flock`, or `F_OFD_SETLK`) would keep a dead
process's files from being sent for as long as such a child lives. The price is that a process loses its lock when any
code in it closes a descriptor of the lock file, as an application does that copies its own spool, and that it is
granted a lock that it already has. Therefore each batch and each look renews the locks, and `_holders` remembers what
this process has locked, so that the package opens no such file a second time. In between, another process may take the
files over and send them, under the same keys.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from logcollector_handler.delivery.locks import new_lock

from .directory import Directory
from .files import Left, SpoolFiles, left_lock_name, lock_name, new_lock_name
from .usage import Usage

#: Age in seconds at which a leftover `.new` or `.left` file counts as abandoned.
_ABANDONED_AFTER: Final = 60.0
#: How many dead owners are locked at a time at most: each lock takes a descriptor from the application.
_AT_ONCE: Final = 64

#: Which object of this process holds the lock of an owner, or is about to take it.
_holders: dict[str, Owners] = {}


class Owners:
    """The locks that one outbox holds in one directory: its own, and those of dead owners whose files it sends."""

    def __init__(self, files: SpoolFiles, own: str) -> None:
        self._files = files
        self._own = own
        #: What the files of each owner take. Whoever holds an owner's lock writes its number.
        self.usage: Usage = Usage(Directory(files.place.path / "usage", files.place))
        # Descriptors of the locked files, by owner.
        self._held: dict[str, int] = {}
        # Why the last attempt to lock an owner failed, other than that somebody holds the lock: the disk is full, say.
        self._refused: OSError | None = None
        # Held while our own lock is made or released, which can happen in a logging call, in the listener and in the
        # sender. Re-entrant, because a signal handler may log while its thread is in here.
        self._own_lock = new_lock()

    @property
    def held(self) -> set[str]:
        """The owners whose files are sent by this outbox: its own, and those of dead processes that it locked."""
        return {self._own, *self._held}

    def ensure_own(self) -> None:
        """Make the directory and lock our owner, if that is not done yet or somebody has removed them.

        Raises:
            OSError: it failed. No file may be written now, because others would take it for a dead process's.
        """
        with self._own_lock:
            if self._renew(self._own):
                return
            self._files.place.make()
            self._release(self._own, unlink=False)
            # A second attempt, in case another process removed our lock as abandoned while we were making it.
            if not self._take(self._own) and not self._take(self._own):
                raise self._refused or OSError(errno.EBUSY, "the lock of this process is held by another")

    def release_own(self, when: Callable[[], bool]) -> None:
        """Unlock our owner if `when()`, which says that nothing of ours is here. `ensure_own` waits meanwhile."""
        with self._own_lock:
            if when():
                self._release(self._own)

    def release_all_but(self, needed: Collection[str], left: Collection[str] = ()) -> None:
        """Unlock all dead owners but the `needed` ones. Those in `left` still have files, which count until sent."""
        for owner in set(self._held) - {self._own, *needed}:
            self._release(owner, unlink=owner not in left)

    def publish(self, owner: str, size: int) -> None:
        """Tell other processes how many bytes the files of an owner take, if we hold its lock. Raises OSError."""
        with self._own_lock:
            if owner in self._held:
                self.usage.write(owner, size)

    def renew(self) -> None:
        """Lock again what we hold, and forget the dead owners that another process has locked meanwhile."""
        with self._own_lock:
            self._renew(self._own)
        for owner in set(self._held) - {self._own}:
            if not self._renew(owner):
                self._release(owner, unlink=False)

    def take_over(self) -> tuple[dict[str, Left], list[str], bool]:
        """Lock dead owners.

        Returns:
            What every owner in the directory has; the dead owners that are locked by us, now or since an earlier look,
            the oldest first; and whether there may be more of them, because no more are locked at a time.

        Raises:
            OSError: the directory cannot be read.
        """
        found = self._files.scan()
        is_any_taken = False
        # Never our own owner, even if we do not hold its lock: another thread may be making it right now.
        strangers = sorted(found.keys() - self.held)
        for owner in strangers:
            if len(self._held) > _AT_ONCE:
                break
            is_any_taken |= self._take(owner)
        if is_any_taken:
            # An owner may have changed its files after the first scan, and then died before we locked it.
            found = self._files.scan()
        # An owner that lives after all may have taken its lock back before the scan. Then what was seen is its own.
        self.renew()
        return found, sorted(self._held.keys() - {self._own}), len(self._held) > _AT_ONCE

    def clear_new_locks(self, now: float) -> None:
        """Remove the lock files of owners that died before they locked them. `now` is in Unix seconds."""
        for name, status in self._files.place.status(self._files.new_locks()).items():
            # Judged by age alone: trying to lock one that is just being made could make its owner fail.
            if now - status.st_mtime > _ABANDONED_AFTER:
                with contextlib.suppress(OSError):
                    self._files.place.remove(name)

    def abandon(self) -> None:
        """In a forked child: close the descriptors. The parent keeps its locks."""
        while self._held:
            # Taken out first: what is closed twice could be the descriptor of another file the second time.
            _, descriptor = self._held.popitem()
            with contextlib.suppress(OSError):
                os.close(descriptor)
        for owner, holder in list(_holders.items()):
            if holder is self:
                del _holders[owner]

    def _take(self, owner: str) -> bool:
        """Lock an owner. False while somebody else holds the lock."""
        # Another handler of this process may have our own, because it saw a lock that we have removed since. It finds
        # that its file is not the lock any more, as another process would.
        if owner == self._own:
            _holders[owner] = self
        # `setdefault` is one step, so of two handlers in this process only one goes on.
        elif _holders.setdefault(owner, self) is not self:
            return False
        name = lock_name(owner)
        # Our own lock file gets its name only when it is locked: others take over whatever they can lock by that name.
        made = new_lock_name(owner) if owner == self._own else name
        descriptor = -1
        self._refused = None
        try:
            descriptor = self._files.place.create(made, 0)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if made != name:
                self._files.place.rename(made, name)
            # An earlier holder may have removed the file after we opened it. Then our lock is worth nothing.
            if self._has_name(descriptor, name):
                self._held[owner] = descriptor
        except BlockingIOError:
            pass
        except OSError as error:
            self._refused = error
        finally:
            # A signal handler that logged meanwhile may hold the lock now; closing our descriptor would release it.
            if owner not in self._held:
                if descriptor >= 0:
                    os.close(descriptor)
                self._let_go(owner)
        return owner in self._held

    def _renew(self, owner: str) -> bool:
        """Lock an owner again that we hold. False if we do not hold it, or another process has it by now."""
        descriptor = self._held.get(owner)
        if descriptor is None:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._has_name(descriptor, lock_name(owner))
        except OSError:
            return False

    def _release(self, owner: str, *, unlink: bool = True) -> None:
        descriptor = self._held.pop(owner, None)
        if descriptor is None:
            return
        try:
            if unlink:
                with contextlib.suppress(OSError):
                    # The owner may be alive after all, and have made a new lock file of this name: that one stays.
                    if self._has_name(descriptor, lock_name(owner)):
                        self.usage.forget(owner)
                        self._remove_lock(descriptor, owner)
        finally:
            os.close(descriptor)
            self._let_go(owner)

    def _let_go(self, owner: str) -> None:
        """No lock of this owner is ours any more. It may be another handler's by now."""
        if _holders.get(owner) is self:
            _holders.pop(owner, None)

    def _remove_lock(self, descriptor: int, owner: str) -> None:
        """Remove a lock file; but not one that a living owner has put in its place just now."""
        # Renamed first, because a file that was removed by its name cannot be given back.
        place, name, left = self._files.place, lock_name(owner), left_lock_name(owner)
        place.rename(name, left)
        if not self._has_name(descriptor, left):
            with contextlib.suppress(OSError):
                place.link(left, name)
        place.remove(left)

    def _has_name(self, descriptor: int, name: str) -> bool:
        """Whether a descriptor is of the file that has this name now."""
        named = self._files.place.status([name]).get(name)
        return named is not None and os.path.samestat(os.fstat(descriptor), named)


def is_alive(lock: Path) -> bool:
    """Whether any process, this one included, holds the lock of an owner."""
    if lock.stem in _holders:
        return True
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
