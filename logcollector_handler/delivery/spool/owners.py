"""Owners: whose files are whose, and who takes over the files of a dead process.

The batch ids of one handler in one process begin with its owner, and the handler keeps `<owner>.lock` locked while it
has files in the directory. The system gives the lock up when the process dies, however it dies. Another process that
looks around then gets the lock, and with it the files.

The locks are those of `lockf`, which belong to a process and not to a descriptor. So a forked child does not inherit
them. But a process that closes any descriptor of a locked file loses its lock, and it is granted a lock that it
already has: therefore `_holders` remembers what this process has locked, and no such file is opened a second time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from .files import Left, SpoolFiles, remove

#: Age in seconds at which a leftover `.new` file counts as abandoned.
_ABANDONED_AFTER: Final = 60.0

#: Who in this process holds the lock of an owner, or is about to take it.
_holders: dict[str, Owners] = {}


class Owners:
    """The locks that one outbox holds in one directory: its own, and those of dead owners whose files it sends."""

    def __init__(self, files: SpoolFiles, own: str) -> None:
        self._files = files
        self._own = own
        # Descriptors of the locked files, by owner.
        self._held: dict[str, int] = {}
        # Held while our own lock is made or given up, which callers, the listener and the sender can do. Re-entrant,
        # because a signal handler may log while its thread is in here.
        self._own_lock = threading.RLock()

    @property
    def held(self) -> set[str]:
        """The owners whose files are sent by this outbox: its own, and those of dead processes that it locked."""
        return {self._own, *self._held}

    def ensure_own(self) -> None:
        """Make the directory and lock our owner, unless that is done; and again when somebody removed them.

        Raises:
            OSError: no file may be written now, because others would take it for one of a dead process.
        """
        with self._own_lock:
            if self._own in self._held and self._files.lock(self._own).exists():
                return
            self._files.make()
            self._release(self._own, unlink=False)
            # The second time for a lock that others removed as abandoned while it was being made.
            if not self._take(self._own) and not self._take(self._own):
                raise OSError(errno.EBUSY, "the lock of this process is held by another")

    def release_own(self, when: Callable[[], bool]) -> None:
        """Unlock our owner, if `when` says that nothing of ours is here. `ensure_own` waits until that is decided."""
        with self._own_lock:
            if when():
                self._release(self._own)

    def release_all_but(self, needed: Collection[str]) -> None:
        """Unlock the dead owners that are not needed any more."""
        for owner in set(self._held) - {self._own, *needed}:
            self._release(owner)

    def take_over(self) -> tuple[dict[str, Left], list[str]]:
        """Lock the owners that have files here and died.

        Returns:
            What each owner has in the directory, and which of them were locked by this call.

        Raises:
            OSError: the directory cannot be read.
        """
        found = self._files.scan()
        # Not our own, though its lock may not be ours yet: another thread may be making it right now.
        taken = [owner for owner in found if owner not in self.held and self._take(owner)]
        # What was found is out of date if an owner went on after that and died before it was locked.
        return (self._files.scan() if taken else found), taken

    def clear_new_locks(self, now: float) -> None:
        """Remove the files of owners that died before they locked them. `now` is in Unix seconds."""
        for path in self._files.new_locks():
            # Only by their age: trying to lock one that is just being made would be in its owner's way.
            with contextlib.suppress(OSError):
                if now - path.lstat().st_mtime > _ABANDONED_AFTER:
                    remove(path)

    def abandon(self) -> None:
        """In a forked child: close the descriptors. The locks are the parent's, and stay with it."""
        for descriptor in self._held.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._held = {}
        for owner, holder in list(_holders.items()):
            if holder is self:
                del _holders[owner]

    def _take(self, owner: str) -> bool:
        """Lock an owner. False while somebody else holds the lock."""
        # One step, so that of two handlers in this process only one goes on.
        if _holders.setdefault(owner, self) is not self:
            return False
        path = self._files.lock(owner)
        # Ours is locked before it has its name: whoever sees a lock that nobody holds takes it.
        made = self._files.new_lock(owner) if owner == self._own else path
        descriptor = -1
        try:
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if made != path:
                os.rename(made, path)
            # An earlier holder may have removed the file after we opened it.
            if _is_file_of(descriptor, path):
                self._held[owner] = descriptor
        except OSError:
            pass
        finally:
            # A signal handler that logged meanwhile may have locked it: closing our descriptor would undo that.
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
                # An owner that was taken for dead and lives may have made another lock of this name.
                if _is_file_of(descriptor, path := self._files.lock(owner)):
                    remove(path)
        os.close(descriptor)
        _holders.pop(owner, None)


def is_alive(lock: Path) -> bool:
    """Whether somebody holds the lock of an owner, this process included."""
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
