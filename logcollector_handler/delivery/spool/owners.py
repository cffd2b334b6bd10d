"""Owners: which process the files belong to, and which one takes over the files of a dead process.

The batch ids of one handler in one process begin with its owner, and the handler keeps `<owner>.lock` locked while it
has files in the directory. The system releases the lock when the process dies, however it dies. The next process that
looks around gets the lock, and with it the files.

The locks are those of `lockf`, which belong to a process and not to a descriptor. So a forked child does not inherit
them. But a process that closes any descriptor of a locked file loses its lock, and it is granted a lock that it
already has: therefore `_holders` remembers what this process has locked, and no such file is opened a second time.
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

from .files import Left, SpoolFiles, remove

#: Age in seconds at which a leftover `.new` file counts as abandoned.
_ABANDONED_AFTER: Final = 60.0

#: Which object of this process holds the lock of an owner, or is about to take it.
_holders: dict[str, Owners] = {}


class Owners:
    """The locks that one outbox holds in one directory: its own, and those of dead owners whose files it sends."""

    def __init__(self, files: SpoolFiles, own: str) -> None:
        self._files = files
        self._own = own
        # Descriptors of the locked files, by owner.
        self._held: dict[str, int] = {}
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
            if self._own in self._held and self._files.lock(self._own).exists():
                return
            self._files.make()
            self._release(self._own, unlink=False)
            # A second attempt, in case another process removed our lock as abandoned while we were making it.
            if not self._take(self._own) and not self._take(self._own):
                raise OSError(errno.EBUSY, "the lock of this process is held by another")

    def release_own(self, when: Callable[[], bool]) -> None:
        """Unlock our owner if `when()`, which says that nothing of ours is here. `ensure_own` waits meanwhile."""
        with self._own_lock:
            if when():
                self._release(self._own)

    def release_all_but(self, needed: Collection[str]) -> None:
        """Unlock all dead owners but the `needed` ones."""
        for owner in set(self._held) - {self._own, *needed}:
            self._release(owner)

    def take_over(self) -> tuple[dict[str, Left], list[str]]:
        """Lock the owners that have files here and are dead.

        Returns:
            What each owner has in the directory, and which of them were locked by this call.

        Raises:
            OSError: the directory cannot be read.
        """
        found = self._files.scan()
        # Never our own owner, even if we do not hold its lock: another thread may be making it right now.
        taken = [owner for owner in found if owner not in self.held and self._take(owner)]
        # Scan again: an owner may have changed its files after the first scan, and then died before we locked it.
        return (self._files.scan() if taken else found), taken

    def clear_new_locks(self, now: float) -> None:
        """Remove the lock files of owners that died before they locked them. `now` is in Unix seconds."""
        for path in self._files.new_locks():
            # Judged by age alone: trying to lock one that is just being made could make its owner fail.
            with contextlib.suppress(OSError):
                if now - path.lstat().st_mtime > _ABANDONED_AFTER:
                    remove(path)

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
        # `setdefault` is one step, so of two handlers in this process only one goes on.
        if _holders.setdefault(owner, self) is not self:
            return False
        path = self._files.lock(owner)
        # Our own lock file gets its name only when it is locked: others take over whatever they can lock by that name.
        made = self._files.new_lock(owner) if owner == self._own else path
        descriptor = -1
        try:
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if made != path:
                os.rename(made, path)
            # An earlier holder may have removed the file after we opened it. Then our lock is worth nothing.
            if _is_file_of(descriptor, path):
                self._held[owner] = descriptor
        except OSError:
            pass
        finally:
            # A signal handler that logged meanwhile may hold the lock now; closing our descriptor would release it.
            if owner not in self._held:
                if descriptor >= 0:
                    os.close(descriptor)
                _holders.pop(owner, None)
        return owner in self._held

    def _release(self, owner: str, *, unlink: bool = True) -> None:
        descriptor = self._held.pop(owner, None)
        if descriptor is None:
            return
        if unlink:
            with contextlib.suppress(OSError):
                # The owner may be alive after all, and have made a new lock file of this name: that one stays.
                if _is_file_of(descriptor, path := self._files.lock(owner)):
                    remove(path)
        os.close(descriptor)
        _holders.pop(owner, None)


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


def _is_file_of(descriptor: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
