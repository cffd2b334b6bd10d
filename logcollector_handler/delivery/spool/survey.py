"""What a spool directory holds, as people are shown it. Looks from outside and changes nothing."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from .directory import plain_errors
from .files import BATCH
from .owners import is_alive


@dataclass(frozen=True)
class Holding:
    """What a spool directory holds of one kind for one server."""

    destination: str
    #: `alive` (the process that wrote the files, or sends them, lives), `dead` (it does not), `handed over` (no process
    #: has locked them yet) or `refused` (dead letters).
    kind: str
    files: int
    #: Bytes.
    size: int
    #: When the oldest file was changed last, in Unix seconds.
    oldest: float


def survey(root: Path, only: str | None = None, until: float = math.inf) -> list[Holding]:
    """What is in a spool directory.

    Args:
        only: the one destination that is looked at.
        until: batches that were changed after that are passed over, in Unix seconds.

    Raises:
        OSError: it cannot be read.
    """
    holdings: dict[tuple[str, str], Holding] = {}

    def add(place: str, kind: str, status: os.stat_result) -> None:
        have = holdings.get((place, kind), Holding(place, kind, 0, 0, status.st_mtime))
        oldest = min(have.oldest, status.st_mtime)
        holdings[place, kind] = Holding(place, kind, have.files + 1, have.size + status.st_size, oldest)

    with plain_errors(root):
        paths = root.iterdir() if only is None else [root / only]
        places = sorted(path for path in paths if path.is_dir() and not path.is_symlink())
    for place in places:
        kinds: dict[str, str] = {}
        for path in sorted(place.iterdir()):
            match = BATCH.fullmatch(path.name)
            if match is None or path.is_symlink() or not path.is_file():
                continue
            owner = match["owner"]
            if owner not in kinds:
                kinds[owner] = _kind(place / f"{owner}.lock")
            with contextlib.suppress(FileNotFoundError):
                if (status := path.lstat()).st_mtime <= until:
                    add(place.name, kinds[owner], status)
        dead = place / "dead"
        with contextlib.suppress(OSError):
            for path in () if dead.is_symlink() else dead.iterdir():
                add(place.name, "refused", path.lstat())
    return list(holdings.values())


def _kind(lock: Path) -> str:
    """Of which kind the files of the owner with this lock are."""
    if is_alive(lock):
        return "alive"
    return "dead" if lock.exists() else "handed over"


def is_of_one_server(directory: Path) -> bool:
    """Whether a directory is one of those in a spool directory, with batches in it. Raises OSError."""
    return any(BATCH.fullmatch(path.name) for path in directory.iterdir())
