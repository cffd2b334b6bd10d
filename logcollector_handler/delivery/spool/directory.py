"""Directories of the spool, and every call into the file system that the spool makes.

Each operation opens its directory anew, makes sure that it belongs to this user alone, and reaches the files in it
relative to the descriptor. So no link in the place of a directory or file is ever followed, and nothing is read that
another user may have written.

Whatever goes wrong is raised as OSError. Callers need no other, also where the system cannot say the directory's name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

#: The least that a file is charged, in bytes: file systems give out blocks of this size, and an inode for each file.
BLOCK: Final = 4096

#: Writing failed, or the disk is full. With any other error, the file system cannot sync directories at all.
_LOST_BY_SYNC: Final = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotOursError(OSError):
    """A directory or file belongs to another user, or others may write to it, or it is a link."""


class NotABodyError(OSError):
    """There is something else than a file of a sensible size. Reading it again will not help."""


class Directory:
    """One directory of the spool.

    Args:
        path: it need not exist yet.
        parent: the directory that it is in. None: it is one below `spool_dir`, which people chose.
        fsync: wait until the disk itself has each file that was written.
        unsynced: called with the error when the file system cannot sync directories.
    """

    def __init__(
        self,
        path: Path,
        parent: Directory | None = None,
        *,
        fsync: bool = False,
        unsynced: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self.path = path
        self._parent = parent
        self._fsync = fsync
        self._unsynced = unsynced

    @contextlib.contextmanager
    def open(self, *, make: bool = False) -> Iterator[int]:
        """A descriptor of the directory. `make`: make the directory if it is missing, but not its parent."""
        with self._parent.open() if self._parent else contextlib.nullcontext() as above:
            place = self.path.name if self._parent else self.path
            with plain_errors(self.path):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(place, 0o700, dir_fd=above)
                descriptor = os.open(place, _DIRECTORY, dir_fd=above)
        try:
            _check(os.fstat(descriptor), self.path)
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self) -> None:
        """Make the directory below `spool_dir`, and those above it that are missing, for this user alone.

        An existing `spool_dir` may be root's, as volumes of containers and `/tmp` are, whoever may write to it: what
        lies in it is checked by itself. It may be a link, if this user or root has made it.
        """
        root = self.path.parent
        with plain_errors(root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for status in (os.lstat(root), os.stat(root)):
                if status.st_uid != 0:
                    _check(status, root)
        with self.open(make=True):
            pass

    def names(self) -> list[str]:
        """The names of the files. Directories, links and the like are left out."""
        with self.open() as descriptor, os.scandir(descriptor) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    def status(self, names: Iterable[str]) -> dict[str, os.stat_result]:
        """The status of each of these files; those that are gone are left out."""
        found = {}
        with self.open() as descriptor:
            for name in names:
                try:
                    found[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    continue
        return found

    def create(self, name: str, flags: int) -> int:
        """Open a file for reading and writing, and make it if it is missing. `flags` are added to the usual ones."""
        flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.open() as directory:
            descriptor = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            _check(os.fstat(descriptor), self.path / name)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of a file. Raises NotABodyError if it is not a file or longer than `max_bytes`."""
        with self.open() as directory:
            return self._read(directory, name, max_bytes)

    def contents(self, max_bytes: int) -> list[tuple[str, bytes]]:
        """Name and content of all files; those that are gone, longer or not this user's are left out."""
        found = []
        with self.open() as directory, os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError, NotABodyError, NotOursError):
                    found.append((entry.name, self._read(directory, entry.name, max_bytes)))
        return found

    def _read(self, directory: int, name: str, max_bytes: int) -> bytes:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(name, flags, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise NotABodyError(error.errno, "it is not a file") from error
            raise
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotABodyError(errno.EINVAL, "it is not a file")
            _check(status, self.path / name)
            if status.st_size > max_bytes:
                raise NotABodyError(errno.EFBIG, f"it is longer than {max_bytes} bytes")
            parts = []
            while part := os.read(descriptor, status.st_size + 1):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def write(self, name: str, body: bytes) -> int:
        """Write a file under a temporary name, and rename it when it is complete. Returns what it is charged."""
        temporary = f"{name}.tmp"
        descriptor = self.create(temporary, os.O_TRUNC)
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(descriptor, view) :]
            if self._fsync:
                os.fsync(descriptor)
            charged = charge(os.fstat(descriptor))
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(temporary)
            raise
        finally:
            os.close(descriptor)
        self.rename(temporary, name)
        if self._fsync:
            self._sync()
        return charged

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name."""
        with self.open() as directory:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=directory)

    def link(self, name: str, new_name: str) -> None:
        """Give a file a second name. Raises FileExistsError if something has that."""
        with self.open() as directory:
            os.link(name, new_name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)

    def move(self, name: str, other: Directory, new_name: str) -> None:
        """Move whatever has that name into another directory, which is made if it is missing."""
        with self.open() as directory, other.open(make=True) as target:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=target)

    def remove(self, name: str) -> bool:
        """Remove a file. False: it was gone already, or the whole directory is."""
        try:
            with self.open() as directory:
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return False
        return True

    def remove_if_empty(self) -> None:
        """Remove the directory, unless something is in it or it is gone already."""
        assert self._parent is not None  # noqa: S101 - the directory of a destination stays
        with contextlib.suppress(OSError), self._parent.open() as above:
            os.rmdir(self.path.name, dir_fd=above)

    def _sync(self) -> None:
        with self.open() as directory:
            try:
                os.fsync(directory)
            except OSError as error:
                if error.errno in _LOST_BY_SYNC:
                    raise
                self._unsynced(error)


def charge(status: os.stat_result) -> int:
    """What the disk is charged for a file, in bytes; never less than `charge_for` says."""
    return max(status.st_blocks * 512, charge_for(status.st_size))


def charge_for(size: int) -> int:
    """What a file of that size is charged at least: whole blocks, and one if it is empty."""
    return max(BLOCK, -(-size // BLOCK) * BLOCK)


def _check(status: os.stat_result, path: Path) -> None:
    """Raise NotOursError unless the file or directory belongs to this user and no other may write to it."""
    user = os.geteuid()
    if status.st_uid != user:
        raise NotOursError(errno.EPERM, f"{path} belongs to user {status.st_uid}, and this process is user {user}")
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o022:
        raise NotOursError(errno.EPERM, f"other users may write to {path}; chmod go-w it")


@contextlib.contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Raise what opening a directory raises as an OSError that says what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise OSError(errno.EINVAL, "the file system's encoding has no such name") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotOursError(error.errno, f"{path} is a link or a file, not a directory") from error
        raise
