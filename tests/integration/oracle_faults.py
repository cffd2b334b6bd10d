"""What befalls the spool in the oracle test: its files are damaged, and the disk fills and empties.

What belongs here: carrying out a fault that a seeded generator picked, and counting it. What does not: when faults
begin and end, and what must hold in spite of them; that is `oracle.py`.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

# The number of a batch has 8 digits, and 16 random ones behind them in newer versions.
_BATCH: Final = re.compile(
    r"[0-9a-f]{12}-[0-9a-f]{16}-[0-9a-f]{8}([0-9a-f]{16})?(\.[01])*\.((json|ndjson|pb)(\.gz)?|open)"
)
# In JSON, and in protobuf, where the lengths of what follows and of the id stand before the id.
_IDENTITY: Final = re.compile(rb'"oracle":"(\d+-\d+-\d+)"')
_IDENTITY_OF_LENGTH: Final = re.compile(rb"oracle\x12.\x0a(.)(?=\d)", re.DOTALL)
_WHOLE: Final = re.compile(rb"\d+-\d+-\d+")
_SIZE: Final = "192m"


def batch_files(directory: Path) -> list[Path]:
    """The files of batches under a spool directory, those of dead letters not included."""
    found = []
    for place in os.scandir(directory) if directory.is_dir() else ():
        # Without a look at each: there can be many thousands.
        entries = os.scandir(place) if place.is_dir() else ()
        found += [Path(each) for each in entries if _BATCH.fullmatch(each.name) and each.is_file(follow_symlinks=False)]
    return found


def owner_of(name: str) -> str:
    """What the names of all files of one handler in one process begin with."""
    return "-".join(name.split("-")[:2])


def identities_in(body: bytes, path: Path) -> set[str]:
    """The ids in what a file holds, as far as it can be read."""
    if path.name.endswith(".gz"):
        try:
            body = zlib.decompress(body, wbits=31)
        except zlib.error:
            return set()
    in_protobuf = [body[each.end() : each.end() + each[1][0]] for each in _IDENTITY_OF_LENGTH.finditer(body)]
    return {each.decode() for each in (*_IDENTITY.findall(body), *in_protobuf) if _WHOLE.fullmatch(each)}


class Vandal:
    """Damages files of the spool, and knows which ids were in them."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.faults: Counter[str] = Counter()
        #: Ids that may be lost now, by the file that they were in.
        self.excused: dict[str, str] = {}

    def strike(self, rng: random.Random, *, all_dead: bool) -> None:
        """Damage a file. An open file of a living process is still written to: it is only scribbled in."""
        files = sorted(batch_files(self._spool))
        if not files:
            return
        path = rng.choice(files)
        is_open = path.suffix == ".open"
        how = "garbage" if is_open and not all_dead else rng.choice(("garbage", "truncated", "emptied", "deleted"))
        try:
            with path.open("r+b") as file:
                body = file.read()
                if not body:
                    return
                place = rng.randrange(len(body))
                if how == "garbage":
                    file.seek(place)
                    file.write(b"\xff\x00{garbage"[: len(body) - place])
                elif how == "truncated":
                    file.truncate(place)
                elif how == "emptied":
                    file.truncate(0)
            if how == "deleted":
                path.unlink()
        except FileNotFoundError:
            return  # It was settled meanwhile.
        self.faults[f"file {how}"] += 1
        for identity in identities_in(body, path):
            self.excused[identity] = f"{path.name} ({how})"

    def litter(self, destination: Path, suffix: str) -> None:
        """Leave files that no process of ours wrote, some with the ending of bodies. None may stop the others."""
        destination.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(("notes.txt", "x.json", "a.open", "y.tmp", ".hidden.lock")):
            (destination / name).write_bytes(b"\x00not ours" * number)
        alien = f"{'0' * 12}-{'f' * 16}"
        for number, body in enumerate(
            (
                b"",
                b"{",
                b'{"logs":[]}',
                b'{"logs":[1,"x",null]}',
                b'{"logs":[{}]}',
                b"\n",
                b"{}\n",
                b"\x0a\x00",
                b"\x1f\x8b",
            )
        ):
            (destination / f"{alien}-{number:08x}{suffix}{'.gz' if body[:1] == bytes([31]) else ''}").write_bytes(body)
        (destination / f"{alien}-000000aa{suffix}").mkdir()
        (destination / f"{alien}-000000bb{suffix}").symlink_to("/etc/hostname")
        (destination / f"{alien}-000000cc.open").write_bytes(b"no line end")


class Disk:
    """The disk of the spool, which fills and empties. A context manager.

    Where a file system can be mounted the spool gets a small one of its own, and a file that takes all the room. Else,
    as in a container without privileges, the size of the files that the processes may write is limited from outside.

    Args:
        place: where the spool is.
        writers: the ids of the processes that live now.
        fills: whether it ever fills.
    """

    def __init__(self, place: Path, writers: Callable[[], Iterable[int]], *, fills: bool) -> None:
        self._place = place
        self._fills = fills
        self._writers = writers
        self._ballast = place / "ballast"
        self._is_mounted = False
        self._is_full = False
        self._left = 0
        self.faults: Counter[str] = Counter()

    def __enter__(self) -> Disk:
        self._place.mkdir(exist_ok=True)
        if not self._fills:
            return self
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "tmpfs", str(self._place)]
        with contextlib.suppress(FileNotFoundError):
            self._is_mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "-l", str(self._place)], check=True)

    @property
    def was_full(self) -> bool:
        """Whether it has been full since the beginning."""
        return bool(self.faults)

    def change(self, rng: random.Random) -> bool:
        """A full one empties, and the other way round. Returns whether it is full now."""
        if self._is_full:
            self.empty()
            return False
        self._is_full = True
        # With some bytes left, a write fails in the middle.
        self._left = rng.choice((0, 0, 5_000, 30_000))
        self.faults["full disk" if self._is_mounted else "files limited in size"] += 1
        self.press()
        return True

    def press(self) -> None:
        """Take the room that was freed while the disk is full."""
        if not self._is_full:
            return
        if not self._is_mounted:
            self._limit(self._left)
            return
        # Others write at the same time.
        with contextlib.suppress(OSError), self._ballast.open("ab") as file:
            room = os.statvfs(self._place)
            size = room.f_bavail * room.f_frsize - self._left
            if size > 0:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    def empty(self) -> None:
        """There is room again."""
        if self._is_full and not self._is_mounted:
            self._limit(resource.RLIM_INFINITY)
        self._is_full = False
        self._ballast.unlink(missing_ok=True)

    def _limit(self, size: int) -> None:
        for pid in self._writers():
            with contextlib.suppress(ProcessLookupError):
                _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))

    def save(self, where: Path) -> None:
        """Copy the spool: a file system of its own goes with the run."""
        if self._is_mounted:
            shutil.copytree(self._place, where, symlinks=True, ignore=shutil.ignore_patterns("ballast"))
