"""The spool: an outbox of files, one a batch, which survive the process and are shared by many.

    <spool_dir>/<destination>/
        <id>.json      a batch, exactly the body that is posted; <id>.json.gz when it is compressed
        <id>.open      a batch that is being written, one entry a line (`durability: record`)
        <owner>.lock   held by the process whose ids begin with <owner>, for as long as it lives
        dead/          records that the server refused, as bodies

A file appears under its name complete (written aside and renamed) and disappears when it is settled. The name
is the idempotency key, so whoever sends it after a crash sends it under the same key. The destination
is in the path: a process never sees what another server is to get.

An owner that died no longer holds its lock: the next process that looks takes the lock and the files over. The
lock is one of `fcntl`, which a forked child does not inherit, so it never outlives its owner.

Where the disk does not take a batch, the batch waits in memory, and that is said.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from logcollector_handler.entry.model import COMPRESS_FROM
from logcollector_handler.wire.collector import join_lines

from .batch import Batch, make_batch
from .clock import Clock
from .outbox import GiveUp, MemoryOutbox, in_place
from .report import Reporter

#: Seconds between two looks for what other processes left behind.
LOOK_EVERY: Final = 10.0
#: Seconds after which a lock that is still being made never will be one.
_UNBORN_LIMIT: Final = 60.0
#: A look that took long is followed by so many times its length without one.
_LOOK_SHARE: Final = 20
#: The ordinal of adopted batches: no flush waits for them.
_NOBODY_WAITS: Final = 1 << 62

_OWNER = r"[0-9a-f]{12}-[0-9a-f]{16}"
_FILE = re.compile(rf"(?P<id>(?P<owner>{_OWNER})-[0-9a-f]{{8}}(?:\.[01])*)\.json(?P<gz>\.gz)?")
_OPEN = re.compile(rf"(?P<id>(?P<owner>{_OWNER})-[0-9a-f]{{8}})\.open")
_LOCK = re.compile(rf"(?P<owner>{_OWNER})\.lock")
# A lock that is being made, or never was one.
_UNBORN = re.compile(rf"(?P<owner>{_OWNER})\.new")
_TEMPORARY = re.compile(rf"(?P<owner>{_OWNER})-[0-9a-f]{{8}}.*\.tmp")

# Owners in this very process. `fcntl` grants a process its own locks again, and gives one up when any
# descriptor of the file is closed: these files are never opened a second time.
_own: set[str] = set()
_own_lock = threading.Lock()


@dataclass
class _Left:
    """What an owner has in the directory."""

    #: Batches by id: size, and whether the body is compressed.
    files: dict[str, tuple[int, bool]] = field(default_factory=dict)
    #: Ids of open files.
    opened: list[str] = field(default_factory=list)
    temporaries: list[Path] = field(default_factory=list)


class SpoolOutbox(MemoryOutbox):
    """Batches in files, up to a number of bytes in the whole of the destination's directory.

    Args:
        root: the spool directory; made if it is missing, for its owner alone.
        server_url: the destination.
        max_bytes: of all files of the destination, other processes' and dead letters included.
        max_memory: of the batches that the disk did not take, in bytes.
        owner: what the ids of this process's batches begin with.
        fsync: a batch has reached the disk itself before it counts as kept.
    """

    durable = True

    def __init__(
        self,
        *,
        root: str,
        server_url: str,
        max_bytes: int,
        max_memory: int,
        owner: str,
        fsync: bool,
        give_up: GiveUp,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        super().__init__(max_memory, give_up)
        self.directory = Path(root) / destination(server_url)
        self._max_spool = max_bytes
        self._owner = owner
        self._fsync = fsync
        self._reporter = reporter
        self._clock = clock
        self._next_look = clock.monotonic()
        # Guarded by `_lock`, as what the memory's outbox has.
        self._adopted: dict[str, Batch] = {}
        self._disk_bytes = 0
        # Of others and of the dead, when we looked last.
        self._other_bytes = 0
        # Owners whose lock we hold.
        self._held: dict[str, int] = {}
        # Guards our own lock there: callers, the listener and the sender ask for it and give it up.
        self._owning = threading.RLock()

    # The interface

    def put(self, batch: Batch) -> None:
        if self._keep(batch):
            with self._lock:
                self._batches[batch.id] = batch
        else:
            super().put(batch)

    def next(self) -> Batch | None:
        with self._lock:
            for batches in (self._adopted, self._batches):
                for batch in batches.values():
                    if not batch.aside:
                        return batch
        return None

    def __len__(self) -> int:
        return len(self._batches) + len(self._adopted)

    def begin(self, batch: Batch) -> bytes | None:
        with self._lock:
            if batch.id not in self._shelf(batch):
                return None
            batch.in_flight = True
        body = self.read(batch)
        if body is None:
            self._damaged(batch)
        return body

    def read(self, batch: Batch) -> bytes | None:
        if batch.body is not None:
            return batch.body
        try:
            body = _read(self._path(batch))
            checksum = zlib.crc32(body)
            if batch.adopted and not batch.entries:
                # The first look at it. What is damaged later is not what was looked at, and may even be sent by then.
                batch.entries = batch.count = len(batch.lines(body))
                batch.checksum = checksum
        except Exception:  # noqa: BLE001 - gone, unreadable, torn or no batch at all: it cannot be sent
            return None
        return body if checksum == batch.checksum else None

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            if self._shelf(batch).pop(batch.id, None) is None:
                return False
            self._forget_bytes(batch)
        self._erase(batch)
        return True

    def bury(self, batch: Batch) -> bool:
        body = self.read(batch)
        if body is not None:
            try:
                dead = self.directory / "dead"
                dead.mkdir(mode=0o700, exist_ok=True)
                self._write(dead / self._path(batch).name, body)
                self._other_bytes += len(body)
            except OSError as error:
                self._reporter.say("dead", f"a refused record could not be kept in {self.directory / 'dead'}: {error}")
        return self.remove(batch)

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> bool:
        with self._lock:
            if batch.id not in self._shelf(batch):
                return False
        for successor in successors:
            if batch.body is not None or not self._keep(successor):
                self._memory_bytes += successor.size
        with self._lock:
            shelf = self._shelf(batch)
            if batch.id not in shelf:
                return False
            kept = dict(in_place(shelf, batch, successors))
            shelf.clear()
            shelf.update(kept)
            self._forget_bytes(batch)
        self._erase(batch)
        return True

    def clear(self) -> list[Batch]:
        """Only what is in memory goes; files stay for the next process."""
        with self._lock:
            batches = [batch for batch in self._batches.values() if batch.body is not None]
            for batch in batches:
                del self._batches[batch.id]
            self._memory_bytes = 0
        return batches

    def look(self) -> float | None:
        now = self._clock.monotonic()
        if now >= self._next_look:
            with contextlib.suppress(OSError):
                self._look_around()
            began, now = now, self._clock.monotonic()
            # Many thousand files take long to look at, and in that time none of them is sent.
            self._next_look = now + max(LOOK_EVERY, _LOOK_SHARE * (now - began))
        return self._next_look - now

    def abandon(self) -> None:
        # A process that closes any descriptor of a file gives up its own locks on it; the parent's stay.
        global _own_lock
        for descriptor in self._held.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._held = {}
        _own.clear()
        # A thread that the child has not may have held it.
        _own_lock = threading.Lock()

    def close(self) -> None:
        """Let others take what is left of others; and of ours, when the process ends and its lock with it."""
        for owner in self._held.keys() - {self._owner}:
            self._release(owner)
        # Suppressed: what cannot be read may hold anything.
        with self._owning, contextlib.suppress(OSError):
            # A record that came meanwhile is in an open file, which is written to under our lock. And what is left
            # at exit keeps it: once another process had it, records that still come could go nowhere.
            if not self._batches and not any(self.directory.glob(f"{self._owner}-*.open")):
                self._release(self._owner)

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """A new file for a batch that is written entry by entry, and its descriptor. Raises OSError."""
        path = self.directory / f"{batch_id}.open"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._owning:
            self._own_directory()
            return path, os.open(path, flags, 0o600)

    # Files

    def _erase(self, batch: Batch) -> None:
        # A batch that waits in memory may have been written entry by entry, and that file was kept.
        self._unlink(self._path(batch) if batch.body is None else self.directory / f"{batch.id}.open")

    def _shelf(self, batch: Batch) -> dict[str, Batch]:
        return self._adopted if batch.adopted else self._batches

    def _path(self, batch: Batch) -> Path:
        return self.directory / f"{batch.id}.json{'.gz' if batch.compressed else ''}"

    def _forget_bytes(self, batch: Batch) -> None:
        if batch.body is None:
            self._disk_bytes -= batch.size
        else:
            self._memory_bytes -= batch.size

    def _keep(self, batch: Batch) -> bool:
        """Write a batch to its file. False: it stays in memory, and that was said."""
        if batch.body is None:
            return True
        try:
            with self._owning:
                self._own_directory()
            if not self._make_room(batch.size):
                raise OSError(errno.EDQUOT, f"max_spool_bytes ({self._max_spool}) is used up by others")
            batch.checksum = zlib.crc32(batch.body)
            self._write(self._path(batch), batch.body)
        except OSError as error:
            self._reporter.say(
                "spool",
                f"{self.directory} takes no batch now ({error.strerror}): batches wait in memory instead, "
                "where the end of the process loses them",
            )
            return False
        with self._lock:
            self._disk_bytes += batch.size
            batch.body = None
        return True

    def _write(self, path: Path, body: bytes) -> None:
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

    def _unlink(self, path: Path) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._reporter.say(
                "spool",
                f"{path} was sent but cannot be removed ({error.strerror}); it will be sent again, under its key",
            )

    def _make_room(self, size: int) -> bool:
        if self._total() + size <= self._max_spool:
            return True
        self._drop_dead(size)
        evicted = []
        with self._lock:
            for old in list(self._batches.values()):
                if self._total() + size <= self._max_spool:
                    break
                if old.body is None and not old.in_flight:
                    del self._batches[old.id]
                    self._disk_bytes -= old.size
                    evicted.append(old)
        for old in evicted:
            self._unlink(self._path(old))
            self._give_up(old, "spool_full")
        return self._total() + size <= self._max_spool

    def _total(self) -> int:
        return self._disk_bytes + self._other_bytes

    def _drop_dead(self, size: int) -> None:
        """Dead letters go before anything that can still be delivered, the oldest first."""
        with contextlib.suppress(OSError):
            for path in sorted((self.directory / "dead").iterdir()):
                if self._total() + size <= self._max_spool:
                    return
                self._other_bytes -= path.lstat().st_size
                self._unlink(path)

    def _damaged(self, batch: Batch) -> None:
        with self._lock:
            if self._shelf(batch).pop(batch.id, None) is None:
                return
            self._forget_bytes(batch)
        path = self._path(batch)
        self._reporter.say("damaged", f"{path} is damaged or gone and cannot be sent; what is left of it is in dead/")
        with contextlib.suppress(OSError):
            dead = self.directory / "dead"
            dead.mkdir(mode=0o700, exist_ok=True)
            os.rename(path, dead / f"{path.name}.damaged")
        self._give_up(batch, "spool_damaged")

    # Owners

    def _own_directory(self) -> None:
        """The directory and the mark that this process is alive, made when they are first needed, or again."""
        if self._owner in self._held and (self.directory / f"{self._owner}.lock").exists():
            return
        self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._release(self._owner, unlink=False)
        # Once more, for one that was removed by others because it took too long to make.
        if not self._take(self._owner) and not self._take(self._owner):
            raise OSError(errno.EBUSY, "the lock of this process is held by another")

    def _take(self, owner: str) -> bool:
        """Take an owner's lock; False while it lives."""
        with _own_lock:
            if owner in _own:
                return False
            _own.add(owner)
        path = self.directory / f"{owner}.lock"
        # Our own is locked before it can be seen: who sees one that nobody holds takes it.
        made = path.with_suffix(".new") if owner == self._owner else path
        descriptor = -1
        try:
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if made != path:
                os.rename(made, path)
            # Whoever held it before may have removed the file between our calls.
            if _is_file_of(descriptor, path):
                self._held[owner] = descriptor
                return True
        except OSError:
            pass
        if descriptor >= 0:
            os.close(descriptor)
        _own.discard(owner)
        return False

    def _release(self, owner: str, *, unlink: bool = True) -> None:
        descriptor = self._held.pop(owner, None)
        if descriptor is None:
            return
        if unlink:
            with contextlib.suppress(OSError):
                # Not when its owner, who lives after all, has made another.
                if _is_file_of(descriptor, path := self.directory / f"{owner}.lock"):
                    os.unlink(path)
        os.close(descriptor)
        _own.discard(owner)

    def _look_around(self) -> None:
        """Take over what dead processes left, let go of owners that have nothing left, and add up the sizes."""
        found = self._scan()
        taken = [owner for owner in found if owner not in self._held and self._take(owner)]
        if taken:
            # Once more: its owner may have gone on before it died and we had its lock.
            found = self._scan()
        for owner in taken:
            left = found.pop(owner, _Left())
            for temporary in left.temporaries:
                self._unlink(temporary)
            for batch_id in left.opened:
                self._finish(batch_id, left.files)
            self._adopt(left.files)
        for path in self.directory.glob("*.new"):
            # A young one is being made right now, and to ask whether it is locked would be in its way.
            if _UNBORN.fullmatch(path.name) and self._clock.time() - path.lstat().st_mtime > _UNBORN_LIMIT:
                self._unlink(path)
        needed = {batch_id.rpartition("-")[0] for batch_id in self._adopted} | {self._owner}
        for owner in self._held.keys() - needed:
            self._release(owner)
        other = sum(size for owner in found.keys() - needed for size, _ in found[owner].files.values())
        with contextlib.suppress(OSError):
            other += sum(path.lstat().st_size for path in (self.directory / "dead").iterdir())
        self._other_bytes = other

    def _scan(self) -> dict[str, _Left]:
        found: dict[str, _Left] = {}
        for entry in os.scandir(self.directory):
            for pattern in (_FILE, _OPEN, _LOCK, _TEMPORARY):
                match = pattern.fullmatch(entry.name)
                if match is None or not entry.is_file(follow_symlinks=False):
                    continue
                left = found.setdefault(match["owner"], _Left())
                if pattern is _FILE:
                    with contextlib.suppress(FileNotFoundError):
                        size = entry.stat(follow_symlinks=False).st_size
                        left.files[match["id"]] = (size, match["gz"] is not None)
                elif pattern is _OPEN:
                    left.opened.append(match["id"])
                elif pattern is _TEMPORARY:
                    left.temporaries.append(Path(entry.path))
        return found

    def _finish(self, batch_id: str, files: dict[str, tuple[int, bool]]) -> None:
        """Make the batch of an open file whose owner died, as the owner would have, unless it did."""
        path = self.directory / f"{batch_id}.open"
        if batch_id not in files:
            try:
                # What stands behind the last line end was being written when the owner died.
                lines = [line for line in _read(path).split(b"\n")[:-1] if _is_entry(line)]
                if lines:
                    batch = make_batch(batch_id, join_lines(lines), len(lines), len(lines) >= COMPRESS_FROM, 0)
                    self._write(self._path(batch), batch.body or b"")
                    files[batch_id] = (batch.size, batch.compressed)
            except OSError as error:
                self._reporter.say("damaged", f"{path} cannot be taken over now ({error.strerror}); it stays there")
                return
        self._unlink(path)

    def _adopt(self, files: dict[str, tuple[int, bool]]) -> None:
        for batch_id in sorted(files):
            size, compressed = files[batch_id]
            batch = Batch(batch_id, None, compressed, size, 0, 0, 0, {}, _NOBODY_WAITS, adopted=True)
            parent = batch_id.rpartition(".")[0]
            whole = f"{batch_id}.0" in files and f"{batch_id}.1" in files
            if whole or (parent in files and not (f"{parent}.0" in files and f"{parent}.1" in files)):
                # A split that was interrupted: with both halves there it is done, else it was not begun.
                self._unlink(self._path(batch))
                continue
            with self._lock:
                self._adopted[batch_id] = batch
                self._disk_bytes += size


@dataclass(frozen=True)
class Holding:
    """What a spool directory holds of one kind for one server."""

    destination: str
    #: `alive` (its process lives), `dead` (nobody holds it) or `refused` (dead letters).
    kind: str
    files: int
    size: int
    #: Unix seconds of the oldest file.
    oldest: float


def survey(root: Path) -> list[Holding]:
    """What lies in a spool directory, without touching it. Raises OSError when it cannot be read."""
    holdings: dict[tuple[str, str], Holding] = {}

    def add(place: str, kind: str, status: os.stat_result) -> None:
        have = holdings.get((place, kind), Holding(place, kind, 0, 0, status.st_mtime))
        oldest = min(have.oldest, status.st_mtime)
        holdings[place, kind] = Holding(place, kind, have.files + 1, have.size + status.st_size, oldest)

    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        alive: dict[str, bool] = {}
        for path in sorted(place.iterdir()):
            match = _FILE.fullmatch(path.name) or _OPEN.fullmatch(path.name)
            if match is None or path.is_symlink() or not path.is_file():
                continue
            owner = match["owner"]
            if owner not in alive:
                alive[owner] = _is_alive(place / f"{owner}.lock")
            with contextlib.suppress(FileNotFoundError):
                add(place.name, "alive" if alive[owner] else "dead", path.lstat())
        with contextlib.suppress(OSError):
            for path in (place / "dead").iterdir():
                add(place.name, "refused", path.lstat())
    return list(holdings.values())


def _is_alive(lock: Path) -> bool:
    """Whether another process holds a lock. Not for one that this process holds: it would lose it."""
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


def destination(server_url: str) -> str:
    """Name of the directory for what goes to a server: readable, and different for each."""
    from urllib.parse import urlsplit

    parts = urlsplit(server_url)
    plain = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
    host = re.sub(r"[^a-z0-9.-]", "_", f"{parts.hostname}" + (f"_{parts.port}" if parts.port else ""))
    return f"{host[:80]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _is_file_of(descriptor: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        return file.read()


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
