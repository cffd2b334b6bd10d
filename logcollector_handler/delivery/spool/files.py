"""Files of the spool: what they are called, and what the directory of a destination holds.

A batch's file appears under its name only when it is complete: it is written under another name and then renamed. This
module counts nothing and knows no locks; errors of the file system are raised as OSError and left to the caller.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from logcollector_handler.delivery.report import Reporter
from logcollector_handler.wire import FORMATS

from .directory import Directory, charge

_OWNER: Final = r"(?P<owner>[0-9a-f]{12}-[0-9a-f]{16})"
# Version 0.1.0 drew ids without the last 16 digits.
_DRAWN: Final = rf"{_OWNER}-[0-9a-f]{{8}}(?:[0-9a-f]{{16}})?"
# The id of a half of a split batch has `.0` or `.1` behind the id of the whole.
_ID: Final = rf"(?P<id>{_DRAWN}(?:\.[01])*)"

_OPEN: Final = re.compile(rf"(?P<id>{_DRAWN})\.open")
_LOST: Final = re.compile(rf"{_ID}\.lost")
_LOCK: Final = re.compile(rf"{_OWNER}\.lock")
_NEW_LOCK: Final = re.compile(rf"{_OWNER}\.(?:new|left)")
_TEMPORARY: Final = re.compile(rf"{_DRAWN}.*\.tmp")
#: A batch in whatever format, complete or still open.
BATCH: Final = re.compile(rf"{_ID}\.(?!lost\b)[a-z]+(?:\.gz)?")
# What the spool puts into `dead/`.
_BURIED: Final = re.compile(rf"{_DRAWN}.*")


@dataclass
class Left:
    """What one owner has in the directory."""

    #: Complete batches by id: whether the body is compressed.
    bodies: dict[str, bool] = field(default_factory=dict)
    #: Ids of open files.
    opened: list[str] = field(default_factory=list)
    #: Ids of batches of which an answer was lost.
    lost: set[str] = field(default_factory=set)
    #: Names of files that were being written, and not renamed yet.
    temporaries: list[str] = field(default_factory=list)


class SpoolFiles:
    """The directory of one destination.

    Args:
        path: it need not exist yet.
        suffix: the ending of a file with an uncompressed body, `Format.suffix`.
        max_body: a longer file is damaged, in bytes. So is what unpacks to more.
        fsync: wait until the disk itself has each file that was written.
        reporter: told when the file system cannot sync directories.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        *,
        max_body: int,
        fsync: bool,
        reporter: Reporter,
    ) -> None:
        def unsynced(error: OSError) -> None:
            lost = f"what is written to {path} may not survive a loss of power"
            reporter.say("fsync", f"{lost}: its file system cannot sync directories ({error.strerror})")

        self.place: Directory = Directory(path, fsync=fsync, unsynced=unsynced)
        self.dead: Directory = Directory(path / "dead", self.place, fsync=fsync, unsynced=unsynced)
        self.max_body = max_body
        self._suffix = suffix
        self._body = re.compile(rf"{_ID}{re.escape(suffix)}(?P<gz>\.gz)?")

    def body(self, batch_id: str, compressed: bool, *, partly: bool = False) -> str:
        """The name of a complete batch's file. `partly`: of one in `dead/` of which the server took some records."""
        return f"{batch_id}{'.partly' if partly else ''}{self._suffix}{'.gz' if compressed else ''}"

    def write(self, name: str, body: bytes) -> int:
        """Write a file. Returns what the disk is charged for it, in bytes."""
        return self.place.write(name, body)

    def create_open(self, batch_id: str) -> int:
        """Create the open file of a batch. Returns a descriptor to write to it at any offset."""
        return self.place.create(open_name(batch_id), os.O_EXCL)

    def lines(self, batch_id: str) -> list[bytes]:
        """The lines of an open file. What follows the last line end was cut short when the writer died."""
        return self.place.read(open_name(batch_id), self.max_body).split(b"\n")[:-1]

    def bury(self, name: str, body: bytes) -> int:
        """Write a file into `dead/`. Returns what the disk is charged for it."""
        with self.dead.open(make=True):
            return self.dead.write(name, body)

    def bury_damaged(self, name: str) -> int:
        """Move a damaged file into `dead/`. Returns what the disk is charged for it."""
        size = self.charged([name])
        self.place.move(name, self.dead, f"{name}.damaged")
        return size

    def buried(self) -> list[str]:
        """The names of dead letters and damaged files, the oldest first."""
        try:
            return sorted(name for name in self.dead.names() if _BURIED.fullmatch(name))
        except FileNotFoundError:
            return []

    def charged(self, names: Iterable[str]) -> int:
        """What the disk is charged for these files, in bytes."""
        return sum(map(charge, self.place.status(names).values()))

    def charged_for_dead(self, names: Sequence[str]) -> int:
        """What the disk is charged for these files in `dead/`, in bytes."""
        return sum(map(charge, self.dead.status(names).values())) if names else 0

    def remove_buried(self, excess: int) -> int:
        """Remove the oldest dead letters, `excess` bytes or all of them. Returns how many bytes were removed."""
        removed = 0
        with contextlib.suppress(OSError):
            for name in self.buried():
                if removed >= excess:
                    break
                size = self.charged_for_dead([name])
                if self.dead.remove(name):
                    removed += size
        return removed

    def charged_for_all(self, *, apart_from: Collection[str] = ()) -> int:
        """What the disk is charged for all that is here, dead letters included. Nothing yet if there is no directory.

        Args:
            apart_from: names that do not count.

        Raises:
            OSError: it cannot be read.
        """
        try:
            names = self.place.names()
        except FileNotFoundError:
            return 0
        names = [name for name in names if name not in apart_from]
        return self.charged(names) + self.charged_for_dead(self.buried())

    def names_of(self, left: Left) -> list[str]:
        """The names of all files but the lock."""
        bodies = [self.body(batch_id, compressed) for batch_id, compressed in left.bodies.items()]
        return [*bodies, *map(open_name, left.opened), *map(lost_name, left.lost), *left.temporaries]

    def scan(self) -> dict[str, Left]:
        """What is in the directory, by owner. Skips names that the spool does not use, and all but regular files."""
        found: dict[str, Left] = {}
        for name in self.place.names():
            for pattern in (self._body, _OPEN, _LOCK, _LOST, _TEMPORARY):
                match = pattern.fullmatch(name)
                if match is None:
                    continue
                left = found.setdefault(match["owner"], Left())
                if pattern is self._body:
                    left.bodies[match["id"]] = match["gz"] is not None
                elif pattern is _OPEN:
                    left.opened.append(match["id"])
                elif pattern is _LOST:
                    left.lost.add(match["id"])
                elif pattern is _TEMPORARY:
                    left.temporaries.append(name)
                break
        return found

    def new_locks(self) -> list[str]:
        """Names of lock files that are not locked yet, or no more: their process may have died before it went on."""
        return [name for name in self.place.names() if _NEW_LOCK.fullmatch(name)]


def open_name(batch_id: str) -> str:
    """The name of the file of a batch that is being written line by line."""
    return f"{batch_id}.open"


def lost_name(batch_id: str) -> str:
    """The name of the mark that says that an answer for a batch was lost: the server may have stored it."""
    return f"{batch_id}.lost"


def lock_name(owner: str) -> str:
    """The name of the file that a living owner keeps locked."""
    return f"{owner}.lock"


def new_lock_name(owner: str) -> str:
    """The name of the lock file until it is locked."""
    return f"{owner}.new"


def left_lock_name(owner: str) -> str:
    """The name of the lock file when it is about to be removed."""
    return f"{owner}.left"


def owner_of(batch_id: str) -> str:
    """What the ids of all batches of one owner begin with."""
    return batch_id.rpartition("-")[0]


def destination(server_url: str, wire: str) -> str:
    """The name of the directory for what goes to a server in a format: readable, and different for each of them.

    A user name or password in the URL changes nothing about it, a query does: it may name the place at the server.
    """
    parts = urlsplit(server_url)
    host = re.sub(r"[^a-z0-9.-]", "_", f"{parts.hostname}" + (f"_{parts.port}" if parts.port else ""))[:80]
    plain = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
    # Of the format `collector`, as version 0.1.0 named it, which knew no other.
    if wire != "collector":
        # The URL of the request, however much of it the setting leaves to the format.
        parts = urlsplit(FORMATS[wire].url(server_url, ""))
        plain = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
        host += f"-{wire}"
    return f"{host}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
