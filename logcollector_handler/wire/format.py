"""What a format is: everything that the rest of the package asks of the way in which a batch is written.

A format is one file in this package and one line in `FORMATS` of `wire/__init__.py`. It turns entries into bytes and
bytes into a body, says under which path and headers the body is posted, and reads what the server answers. It knows no
queue, no file and no network.

A body is made of runs: encoded entries that stand side by side. The encoder makes runs of many entries, which
costs least; `split` gives runs of one entry each, so that a batch can be halved until a record at fault stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from logcollector_handler.entry.model import Entry, LogEntry


class Run(NamedTuple):
    """Encoded entries as they stand side by side in a body."""

    entries: int
    encoded: bytes


class Format(Protocol):
    """A way to write entries. Its methods are pure, and `encode` and `encode_line` never raise for what an entry holds."""

    @property
    def path(self) -> str:
        """What is put behind `server_url` to get the URL that bodies are posted to."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that every request in this format has, whatever the settings say."""

    @property
    def suffix(self) -> str:
        """The ending of a spool file that holds an uncompressed body; `.gz` follows where it is compressed."""

    @property
    def site_entry(self) -> Callable[[str, str, float, Any], Entry]:
        """Makes an entry of level, message, time and `common`, for a record without fields of its own."""

    def common(self, entry: LogEntry) -> Any:
        """What all records of a call site have in common, made from one of them: all but level, message and time."""

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The entries, each at most `max_bytes` long, and so is each run of more than one."""

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """One entry as one line without its end, at most `max_bytes` long: what `durability: record` writes."""

    def runs_of_lines(self, lines: Sequence[bytes]) -> list[Run]:
        """Lines that `encode_line` made, as runs."""

    def is_line(self, line: bytes) -> bool:
        """Whether this is a whole line that `encode_line` can have made, and not one that was torn."""

    def join(self, runs: Iterable[Run]) -> bytes:
        """The body of a batch."""

    def split(self, body: bytes) -> list[Run]:
        """The entries of an uncompressed body, one a run, byte for byte. Raises ValueError when it is no body."""

    def describe(self, entry: bytes) -> str:
        """Names one entry, as `split` gives it, so that a person finds the record again. Never raises."""

    def taken(self, content: bytes) -> int | None:
        """How many entries the server took, as the content of a 2xx says; None when it does not say so."""
