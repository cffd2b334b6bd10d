"""The format of the log collection server: `POST /logs`, one JSON object around the entries.

    {"logs":[{"level":"INFO","message":"…","created_at":1.5,"log_type":"BACKEND",…},…]}

The server answers with `{"status": "ok", "count": N}`. What its columns take is in `entry.model` and `entry.columns`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from logcollector_handler.entry.model import Entry, LogEntry, SiteEntry
from logcollector_handler.entry.traceback import Trace
from logcollector_handler.entry.values import Cleaner, clean_text, safe_text

from .format import Run
from .shorten import shorten

_Item = TypeVar("_Item")

#: Entries encoded in one call: enough to make the calls few, and few enough to need little memory at a time.
_SLICE: Final = 100
_OPEN: Final = b'{"logs":['
_CLOSE: Final = b"]}"
#: How U+0000 looks in JSON. A text that holds a backslash before these letters looks the same; encoding such an entry
#: on its own finds out which it is.
_NUL: Final = b"\\u0000"
#: Characters of a message, and bytes of an entry that cannot be read, that name a record to people.
_NAMED_BY: Final = 100


class JsonSiteEntry(SiteEntry, gc=False):
    """An entry whose common part is JSON already. Encoded it looks like any other entry.

    `log_type` holds its own value and, behind it, every other field as it stands in the JSON.
    """

    log_type: msgspec.Raw


class CollectorFormat:
    """See `Format` for what each of these does."""

    path: Final = "/logs"
    headers: Final[Mapping[str, str]] = MappingProxyType({"Content-Type": "application/json"})
    suffix: Final = ".json"
    site_entry = JsonSiteEntry

    def common(self, entry: LogEntry) -> msgspec.Raw:
        """The JSON of every field from the value of `log_type` on."""
        return msgspec.Raw(self.encode_line(entry, sys.maxsize).partition(b'"log_type":')[2][:-1])

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The entries as JSON, up to 100 in a run."""
        runs: list[Run] = []
        for part in _slices(entries):
            try:
                encoded = _encoder.encode_lines(part)
            except Exception:  # noqa: BLE001 - one of them holds a lone surrogate; encoded one by one it is found
                encoded = _NUL
            if _has_nul(encoded):
                runs += [Run(1, self.encode_line(entry, max_bytes)) for entry in part]
            elif len(encoded) <= max_bytes:
                # JSON has no other line ends in it.
                runs.append(Run(len(part), encoded[:-1].replace(b"\n", b",")))
            else:
                lines = encoded.split(b"\n")[:-1]
                runs += [Run(1, line if len(line) <= max_bytes else shorten(line, max_bytes)) for line in lines]
        return runs

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """One entry as JSON."""
        try:
            line = _encoder.encode(entry)
        except Exception:  # noqa: BLE001 - it holds a lone surrogate
            line = _NUL
        if _has_nul(line):
            line = _encode_cleaned(entry, max_bytes)
        return line if len(line) <= max_bytes else shorten(line, max_bytes)

    def runs_of_lines(self, lines: Sequence[bytes]) -> list[Run]:
        """The lines are the JSON of entries already."""
        return [Run(len(part), b",".join(part)) for part in _slices(lines)]

    def is_line(self, line: bytes) -> bool:
        """Whether the line is a whole JSON object."""
        try:
            return isinstance(msgspec.json.decode(line), dict)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

    def join(self, runs: Iterable[Run]) -> bytes:
        """`{"logs":[…]}`"""
        # The frame is put on the first and the last run, because copying a whole body once more takes its time.
        parts = [run.encoded for run in runs] or [b""]
        parts[0] = _OPEN + parts[0]
        parts[-1] += _CLOSE
        return b",".join(parts)

    def split(self, body: bytes) -> list[Run]:
        """The entries of a body. msgspec's errors are ValueErrors."""
        return [Run(1, bytes(entry)) for entry in _decoder.decode(body).logs]

    def describe(self, entry: bytes) -> str:
        """Level, time and the beginning of the message."""
        try:
            fields = msgspec.json.decode(entry)
            message = " ".join(str(fields["message"]).split())
            if len(message) > _NAMED_BY:
                message = f"{message[: _NAMED_BY - 1]}…"
            return f"{fields['level']} at {fields['created_at']:.3f}: {message!r}"
        except Exception:  # noqa: BLE001 - the entry lay in a file, where anybody may have changed it
            return f"{entry[:_NAMED_BY]!r}"

    def taken(self, content: bytes) -> int | None:
        """The `count` of the answer."""
        try:
            return msgspec.json.decode(content, type=_Answer).count
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


class _Body(msgspec.Struct):
    logs: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    count: int | None = None


def _render(value: object) -> Any:
    """The text of an exception that was captured in the logging call: the one value that the encoder does not know."""
    if not isinstance(value, Trace):
        raise TypeError(f"{type(value).__name__} is nothing an entry can hold")
    try:
        return value.render()
    except Exception as error:  # noqa: BLE001 - code of the application: loaders, and classes of exceptions
        return f"{value.error_type} (its traceback could not be printed: {type(error).__name__})"


_encoder: Final = msgspec.json.Encoder(enc_hook=_render)
_decoder: Final = msgspec.json.Decoder(_Body)


def _slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _SLICE] for start in range(0, len(items), _SLICE))


def _has_nul(encoded: bytes) -> bool:
    # Most text has no backslash, and looking for one character takes a tenth of the time of looking for six.
    return b"\\" in encoded and _NUL in encoded


def _encode_cleaned(entry: Entry, max_bytes: int) -> bytes:
    """The entry as JSON, with what the server cannot store replaced in each of its fields."""
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if isinstance(value, Trace):
            value = _render(value)
        if isinstance(value, str):
            setattr(entry, name, clean_text(value))
        elif isinstance(value, dict):
            # Values under the names of secrets are masked already.
            setattr(entry, name, Cleaner(lambda _: False, max_bytes).mapping(value, 0))
    try:
        return _encoder.encode(entry)
    except Exception as error:  # noqa: BLE001 - nothing is known that gets here; if anything does, the others go on
        message = clean_text(safe_text(entry.message, str))
        metadata = msgspec.Raw(msgspec.json.encode({"unreadable": type(error).__name__}))
        return _encoder.encode(LogEntry("ERROR", message, 0.0, "BACKEND", metadata=metadata))
