"""What the formats whose entries are JSON objects share: everything but the body around them, the URL and the answers.

    {"level":"INFO","message":"…","created_at":1.5,"log_type":"BACKEND",…}

The names are those of the columns in `entry.model`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from logcollector_handler.entry.encoding import plain_fields
from logcollector_handler.entry.frames import Stack
from logcollector_handler.entry.model import Entry, LogEntry, SiteEntry
from logcollector_handler.entry.redact import Redactor
from logcollector_handler.entry.text import clean_text, safe_text
from logcollector_handler.entry.traceback import Trace

from .fitting import fit
from .format import Run

_Item = TypeVar("_Item")

#: Entries encoded in one call: enough to make the calls few, and few enough to need little memory at a time. Of large
#: entries, as many as take about this many bytes: for twice as many, the C library gets fresh memory from the system
#: each time.
_SLICE: Final = 100
_SLICE_BYTES: Final = 64 * 1024
#: How U+0000 looks in JSON. A text that holds a backslash before these letters looks the same; encoding such an entry
#: on its own finds out which it is.
_NUL: Final = b"\\u0000"
#: How much of a message, in characters, or of an entry that cannot be read, in bytes, describes a record to people.
_DESCRIBED_BY: Final = 100


class JsonSiteEntry(SiteEntry, gc=False):
    """An entry whose common part is JSON already. Its own JSON looks like that of a LogEntry.

    `log_type` holds the JSON of its value and, after a comma, of all further columns.
    """

    log_type: msgspec.Raw


class JsonEntries:
    """The part of a format that writes and reads entries as JSON objects. `Format` says what each of these is for."""

    #: One byte that stands between two entries in a body. A line end may do so, because the encoder writes none inside
    #: an entry.
    gap: ClassVar[bytes]
    gap_bytes: Final = 1
    site_entry = JsonSiteEntry

    def common(self, entry: LogEntry) -> msgspec.Raw:
        """The JSON of the entry from the value of `log_type` on, for a JsonSiteEntry."""
        return msgspec.Raw(self.encode_line(entry, sys.maxsize).partition(b'"log_type":')[2][:-1])

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The entries as JSON objects side by side, up to 100 in a run."""
        runs: list[Run] = []
        start, step = 0, 1
        encoder = msgspec.json.Encoder(enc_hook=partial(_render, printed={}))
        # As a JSON list or as lines: without what stands around the entries, both are what a run is.
        encode, before = (encoder.encode, 1) if self.gap == b"," else (encoder.encode_lines, 0)
        while part := entries[start : start + step]:
            start += step
            try:
                encoded = encode(part)
            except Exception:  # noqa: BLE001 - one of them holds a lone surrogate; encoding them one by one finds it
                encoded = _NUL
            if _has_nul(encoded):
                runs += [Run(1, self.encode_line(entry, max_bytes)) for entry in part]
            elif len(encoded) <= max_bytes:
                runs.append(Run(len(part), memoryview(encoded)[before:-1]))
            else:
                lines = encoder.encode_lines(part).split(b"\n")[:-1]
                runs += [Run(1, line if len(line) <= max_bytes else fit(line, max_bytes)) for line in lines]
            step = max(1, min(_SLICE, _SLICE_BYTES * len(part) // len(encoded)))
        return runs

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """The entry as a JSON object."""
        try:
            line = _encoder.encode(entry)
        except Exception:  # noqa: BLE001 - it holds a lone surrogate
            line = _NUL
        if _has_nul(line):
            line = _encode_cleaned(entry, max_bytes)
        return line if len(line) <= max_bytes else fit(line, max_bytes)

    def runs_of_lines(self, lines: Sequence[bytes]) -> list[Run]:
        """The lines side by side, up to 100 in a run: they are JSON objects already."""
        return [Run(len(part), self.gap.join(part)) for part in _slices(lines)]

    def is_line(self, line: bytes) -> bool:
        """Whether the line is a whole JSON object."""
        try:
            return isinstance(msgspec.json.decode(line), dict)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

    def describe(self, entry: bytes) -> str:
        """Level, time and the beginning of the message; of an entry that cannot be read, its first bytes."""
        try:
            fields = msgspec.json.decode(entry)
            message = " ".join(str(fields["message"]).split())
            if len(message) > _DESCRIBED_BY:
                message = f"{message[: _DESCRIBED_BY - 1]}…"
            return f"{fields['level']} at {fields['created_at']:.3f}: {message!r}"
        except Exception:  # noqa: BLE001 - the entry may come from a file that somebody has changed
            return f"{entry[:_DESCRIBED_BY]!r}"


def _render(value: object, printed: dict[Stack, str] | None = None) -> Any:
    """The text of a captured exception. The encoder asks for it, because it does not know the type Trace."""
    if not isinstance(value, Trace):
        raise TypeError(f"an entry cannot hold a {type(value).__name__}")
    return value.text(printed)


_encoder: Final = msgspec.json.Encoder(enc_hook=_render)


def _slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _SLICE] for start in range(0, len(items), _SLICE))


def _has_nul(encoded: bytes) -> bool:
    # Most entries have no backslash, and finding one character takes a tenth of the time of finding six.
    return b"\\" in encoded and _NUL in encoded


def _encode_cleaned(entry: Entry, max_bytes: int) -> bytes:
    """The entry as JSON, with every character that the server cannot store replaced."""
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if isinstance(value, Trace):
            value = _render(value)
        if isinstance(value, str):
            setattr(entry, name, clean_text(value))
        elif isinstance(value, dict):
            # No name is secret here: `entry` has masked those values already.
            setattr(entry, name, plain_fields(value, Redactor(()), max_bytes))
    try:
        return _encoder.encode(entry)
    except Exception as error:  # noqa: BLE001 - no known entry fails here; if one does, it must not stop the others
        message = clean_text(safe_text(entry.message, str))
        metadata = msgspec.Raw(msgspec.json.encode({"unreadable": type(error).__name__}))
        return _encoder.encode(LogEntry("ERROR", message, 0.0, "BACKEND", metadata=metadata))
