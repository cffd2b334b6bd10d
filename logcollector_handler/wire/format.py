"""What a format is: everything that the rest of the package needs to know of how a batch is written.

To add a format, add a file with a class like `Format` to this package and a line to `FORMATS` in `wire/__init__.py`;
the setting `wire` then takes its name.

A format turns entries into bytes and bytes into a body, names the URL and headers of the request, and reads the
server's answer. It knows nothing of queues, files and the network.

A body is made of runs: encoded entries that stand side by side in it. `encode` makes runs of many entries, because that
takes the least time. `split` makes runs of one entry each, so that a batch can be halved until a record that the server
refuses is alone in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from logcollector_handler.entry.model import Entry, LogEntry


class Run(NamedTuple):
    """Encoded entries as they stand side by side in a body."""

    #: How many.
    entries: int
    #: A view saves a copy where the entries were encoded with something around them.
    encoded: bytes | memoryview


class Taken(NamedTuple):
    """What the content of a 2xx answer says of the entries that were sent."""

    #: How many the server took; None if it does not say.
    entries: int | None = None
    #: How many it did not take and will never take; which ones, it does not say.
    rejected: int = 0
    #: Why, in the server's words.
    why: str = ""


#: The header with the id of the batch. The server stores a batch once, however often it gets one with the same id.
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"


#: Stands in a `server_url` for the id of the batch, with formats that take the whole URL: in a parameter by which the
#: server knows a batch that it stored before.
BATCH_ID: Final = "{batch_id}"


class Format(Protocol):
    """A way to write entries.

    Its methods keep no state. `encode` and `encode_line` raise no Exception, whatever an entry holds: an entry that
    cannot be written is replaced by one that says so.
    """

    @property
    def takes_whole_url(self) -> bool:
        """Whether `server_url` is the URL of the request itself: it may have a query, and a slash at its end counts."""

    def url(self, server_url: str, batch_id: str) -> str:
        """The URL to which the body of that batch is posted."""

    def headers(self, configured: Mapping[str, str]) -> Mapping[str, str]:
        """Headers that every request in this format has: they replace those of the same name that people set.

        Args:
            configured: the headers that people set.
        """

    @property
    def max_batch_bytes(self) -> int:
        """The largest body that servers take, in bytes before compression."""

    @property
    def frame_bytes(self) -> int:
        """How many bytes a body has beside its runs and what stands between them."""

    @property
    def gap_bytes(self) -> int:
        """How many bytes stand between two runs in a body."""

    @property
    def suffix(self) -> str:
        """How the name of a spool file with an uncompressed body ends; with a compressed one, `.gz` is added."""

    @property
    def site_entry(self) -> Callable[[str, str, float, Any], Entry]:
        """Makes an entry from level, message, time and what `common` returned, for a record without fields of its own.

        It runs in the logging call, so it should be the class of a struct and not a function.
        """

    def common(self, entry: LogEntry) -> Any:
        """Everything in an entry but level, message and time, prepared for encoding once for each call site."""

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The entries in their order. No run is longer than `max_bytes`; an entry that is longer by itself is cut."""

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """One entry as a line of at most `max_bytes`, without the line end: `durability: record` writes these."""

    def runs_of_lines(self, lines: Sequence[bytes]) -> list[Run]:
        """Runs for a body, made of lines that `encode_line` made."""

    def is_line(self, line: bytes) -> bool:
        """Whether `encode_line` can have made this. False for a line that was written only in part."""

    def join(self, runs: Iterable[Run]) -> bytes:
        """The body of a batch. No runs make a body without entries."""

    def split(self, body: bytes) -> list[Run]:
        """The entries of an uncompressed body, unchanged, each a run. Raises ValueError if it is not a body."""

    def describe(self, entry: bytes) -> str:
        """Describes one entry from `split` so that a person can find the record. Never raises an Exception."""

    def taken(self, content: bytes) -> Taken:
        """What the content of a 2xx answer says of the entries that were sent. Never raises an Exception."""
