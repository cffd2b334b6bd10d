"""Files of the spool: what they are called, how they are written and read, and what a directory holds.

A batch's file appears under its name only when it is complete: it is written under another name and then renamed. No
link is followed, and only regular files are read. This module counts nothing and knows no locks; errors of the file
system are raised as OSError and left to the caller.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_OWNER: Final = r"(?P<owner>[0-9a-f]{12}-[0-9a-f]{16})"
# Version 0.1.0 drew ids without the last 16 digits.
_DRAWN: Final = rf"{_OWNER}-[0-9a-f]{{8}}(?:[0-9a-f]{{16}})?"
# The id of a half of a split batch has `.0` or `.1` behind the id of the whole.
_ID: Final = rf"(?P<id>{_DRAWN}(?:\.[01])*)"

_OPEN: Final = re.compile(rf"(?P<id>{_DRAWN})\.open")
_LOCK: Final = re.compile(rf"{_OWNER}\.lock")
_NEW_LOCK: Final = re.compile(rf"{_OWNER}\.new")
_TEMPORARY: Final = re.compile(rf"{_DRAWN}.*\.tmp")
#: A batch in whatever format, complete or still open.
BATCH: Final = re.compile(rf"{_ID}\.[a-z]+(?:\.gz)?")


class BodyFile(NamedTuple):
    """What the name and the size of a file say about the batch in it."""

    size: int
    compressed: bool


@dataclass
class Left:
    """What one owner has in the directory."""

    #: Complete batches by id.
    bodies: dict[str, BodyFile] = field(default_factory=dict)
    #: Ids of open files.
    opened: list[str] = field(default_factory=list)
    #: Files that were being written, and not renamed yet.
    temporaries: list[Path] = field(default_factory=list)


class SpoolFiles:
    """The directory of one destination.

    Args:
        directory: it need not exist yet.
        suffix: the ending of a file with an uncompressed body, `Format.suffix`.
        fsync: wait until the disk itself has each file that was written.
    """

    def __init__(self, directory: Path, suffix: str, *, fsync: bool) -> None:
        self.directory = directory
        self.dead = directory / "dead"
        self._suffix = suffix
        self._body = re.compile(rf"{_ID}{re.escape(suffix)}(?P<gz>\.gz)?")
        self._fsync = fsync

    def body(self, batch_id: str, compressed: bool) -> Path:
        """The file of a complete batch."""
        return self.directory / f"{batch_id}{self._suffix}{'.gz' if compressed else ''}"

    def opened(self, batch_id: str) -> Path:
        """The file of a batch that is being written line by line."""
        return self.directory / f"{batch_id}.open"

    def lock(self, owner: str) -> Path:
        """The file that a living owner keeps locked."""
        return self.directory / f"{owner}.lock"

    def new_lock(self, owner: str) -> Path:
        """The name of the lock file until it is locked."""
        return self.directory / f"{owner}.new"

    def new_locks(self) -> list[Path]:
        """Lock files that are not locked yet, or whose owner died before it locked them."""
        return [path for path in self.directory.glob("*.new") if _NEW_LOCK.fullmatch(path.name)]

    def make(self) -> None:
        """Make the directory, and those above it that are missing, for their owner alone."""
        self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def create_open(self, batch_id: str) -> int:
        """Create the open file of a batch. Returns a descriptor to write to it at any offset."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self.opened(batch_id), flags, 0o600)

    def lines(self, batch_id: str, is_line: Callable[[bytes], bool]) -> list[bytes]:
        """The whole lines of an open file. What follows the last line end was cut short when the writer died."""
        return [line for line in read(self.opened(batch_id)).split(b"\n")[:-1] if is_line(line)]

    def write(self, path: Path, body: bytes) -> None:
        """Write a file under a temporary name, and rename it when it is complete."""
        temporary = path.with_name(f"{path.name}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(descriptor, view) :]
            if self._fsync:
                os.fsync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
        if self._fsync:
            _fsync_directory(path.parent)

    def bury(self, name: str, body: bytes) -> None:
        """Write a file into `dead/`."""
        self.dead.mkdir(mode=0o700, exist_ok=True)
        self.write(self.dead / name, body)

    def bury_damaged(self, path: Path) -> int:
        """Move a damaged file into `dead/`. Returns its size in bytes."""
        size = path.lstat().st_size
        self.dead.mkdir(mode=0o700, exist_ok=True)
        os.rename(path, self.dead / f"{path.name}.damaged")
        return size

    def buried(self) -> list[Path]:
        """What is in `dead/`, the oldest first."""
        return sorted(self.dead.iterdir()) if self.dead.is_dir() else []

    def scan(self) -> dict[str, Left]:
        """What is in the directory, by owner. Skips names that the spool does not use, and all but regular files."""
        found: dict[str, Left] = {}
        with os.scandir(self.directory) as entries:
            for entry in entries:
                for pattern in (self._body, _OPEN, _LOCK, _TEMPORARY):
                    match = pattern.fullmatch(entry.name)
                    if match is None or not entry.is_file(follow_symlinks=False):
                        continue
                    left = found.setdefault(match["owner"], Left())
                    if pattern is self._body:
                        # The owner may have sent and removed the file since the directory was listed.
                        with contextlib.suppress(FileNotFoundError):
                            size = entry.stat(follow_symlinks=False).st_size
                            left.bodies[match["id"]] = BodyFile(size, match["gz"] is not None)
                    elif pattern is _OPEN:
                        left.opened.append(match["id"])
                    elif pattern is _TEMPORARY:
                        left.temporaries.append(Path(entry.path))
        return found


def read(path: Path) -> bytes:
    """The content of a regular file."""
    # Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        return file.read()


def remove(path: Path) -> bool:
    """Remove a file. False: it was gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def owner_of(batch_id: str) -> str:
    """What the ids of all batches of one owner begin with."""
    return batch_id.rpartition("-")[0]


def destination(server_url: str) -> str:
    """The name of the directory for what goes to a server: readable, and different for each server.

    A user name or password in the URL changes nothing about it.
    """
    parts = urlsplit(server_url)
    plain = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
    host = re.sub(r"[^a-z0-9.-]", "_", f"{parts.hostname}" + (f"_{parts.port}" if parts.port else ""))
    return f"{host[:80]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
