"""The file that the logs are in, seen from outside: who may read it, and whether it is still the one that was opened.

SQLite notices none of this: it goes on reading and writing a file that was deleted or replaced.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

#: Beside the file: SQLite's write-ahead log, and the index of it that connections share.
_BESIDE: Final = ("-wal", "-shm")
#: The first bytes of a database of SQLite.
_MAGIC: Final = b"SQLite format 3\0"
#: Only the user of this process may read and write the logs. SQLite gives the files beside the same mode.
_MODE: Final = 0o600
_log = logging.getLogger(__name__)


class UnusableError(Exception):
    """The file was deleted, replaced or damaged while it was used. The message says so, without its path."""


class LogFile:
    """The file at `path`, which is made if it does not exist. Raises OSError if it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Open for as long as SQLite has it open, because closing it releases the locks of SQLite in this process.
        self._content = open(path, "rb", buffering=0, opener=_open_or_make)  # noqa: SIM115 - closed in `close`
        self._reading = threading.Lock()
        #: The files by which SQLite works, as they were when it had opened them.
        self._opened: dict[Path, tuple[int, int] | None] = {}
        #: What was found damaged. It stays so until the file is opened anew.
        self._damage: str | None = None
        #: What was logged last, so that it is logged once.
        self._said: str | None = None
        self._protect()

    def _protect(self) -> None:
        # Where the file is another user's, or the system knows no modes, it stays as it is.
        for path in (self._path, *self._beside()):
            with suppress(OSError):
                path.chmod(_MODE)

    def _beside(self) -> list[Path]:
        return [self._path.with_name(self._path.name + end) for end in _BESIDE]

    def opened(self) -> None:
        """Remember which files SQLite has opened now."""
        self._protect()
        self._opened = {path: _identity(path) for path in (self._path, *self._beside())}

    def close(self) -> None:
        """Close the file, after SQLite has."""
        self._content.close()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While SQLite reads or writes: raise UnusableError if the file is not what it was, or is found damaged."""
        self._check()
        try:
            yield
        except (sqlite3.DatabaseError, msgspec.DecodeError, UnicodeDecodeError) as error:
            # The subclasses are of other causes: a full disk, a lock. But a file that is gone causes any of them.
            if isinstance(error, sqlite3.DatabaseError) and type(error) is not sqlite3.DatabaseError:
                self._check()
                raise
            self._damage = f"The file of the logs is damaged ({error}). Stop the collector and repair or remove it."
            self._say(self._damage)
            raise UnusableError(self._damage) from error
        # Again, because what was written into a file that is gone is lost.
        self._check()

    def trouble(self) -> str | None:
        """Why the file is not as it should be; None if nothing is known."""
        try:
            self._check()
        except UnusableError as error:
            return str(error)
        return self._damage

    def _check(self) -> None:
        problem = self._problem()
        self._say(problem or self._damage)
        if problem is not None:
            raise UnusableError(problem)

    def _problem(self) -> str | None:
        for path, identity in self._opened.items():
            if _identity(path) != identity:
                which = (
                    "The file of the logs" if path == self._path else f"A file beside that of the logs ({path.name})"
                )
                return f"{which} was deleted or replaced. Start the collector again."
        with self._reading:
            self._content.seek(0)
            begin = self._content.read(len(_MAGIC))
        if self._opened and begin != _MAGIC:
            return "The file of the logs was overwritten. Start the collector again, with another file."
        return None

    def _say(self, what: str | None) -> None:
        if what is not None and what != self._said:
            _log.error("%s: %s", self._path, what)
        self._said = what


def _open_or_make(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, _MODE)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
