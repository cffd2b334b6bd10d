"""Entries -> the bytes of a body, and back. A body is one JSON object around the entries."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from logcollector_handler.entry.model import Entry, LogEntry
from logcollector_handler.entry.traceback import Trace
from logcollector_handler.entry.values import Cleaner, clean_text, safe_text, shortened, unused

_Item = TypeVar("_Item")

#: Entries that are encoded in one call: few calls, and no more memory than so many entries need.
_SLICE: Final = 100
_OPEN: Final = b'{"logs":['
_CLOSE: Final = b"]}"
#: How U+0000 looks in JSON; a backslash before such letters looks the same, and is found innocent later.
_NUL: Final = b"\\u0000"


class Run(NamedTuple):
    """Encoded entries as they stand side by side in a body, a comma between them."""

    entries: int
    encoded: bytes


def _render(value: object) -> Any:
    """What the encoder does not know: an exception that was captured and is printed now."""
    if not isinstance(value, Trace):
        raise TypeError(f"{type(value).__name__} is nothing an entry can hold")
    try:
        return value.render()
    except Exception as error:  # noqa: BLE001 - code of the application: loaders, and classes of exceptions
        return f"{value.error_type} (its traceback could not be printed: {type(error).__name__})"


_encoder: Final = msgspec.json.Encoder(enc_hook=_render)


def encode_runs(entries: Sequence[Entry], max_bytes: int) -> list[Run]:
    """The entries as JSON, each at most `max_bytes` long, and so is each run of more than one.

    Never raises for what an entry holds.
    """
    runs: list[Run] = []
    for part in _slices(entries):
        try:
            encoded = _encoder.encode_lines(part)
        except Exception:  # noqa: BLE001 - one of them holds a surrogate: find it
            encoded = _NUL
        if _has_nul(encoded):
            runs += [Run(1, encode_line(entry, max_bytes)) for entry in part]
        elif len(encoded) <= max_bytes:
            # JSON has no other line ends in it.
            runs.append(Run(len(part), encoded[:-1].replace(b"\n", b",")))
        else:
            lines = encoded.split(b"\n")[:-1]
            runs += [Run(1, line if len(line) <= max_bytes else _cut(line, max_bytes)) for line in lines]
    return runs


def runs_of(lines: Sequence[bytes]) -> list[Run]:
    """Entries that are encoded one by one already."""
    return [Run(len(part), b",".join(part)) for part in _slices(lines)]


def _slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _SLICE] for start in range(0, len(items), _SLICE))


def encode_line(entry: Entry, max_bytes: int) -> bytes:
    """One entry as JSON, at most `max_bytes` long. Never raises for what it holds."""
    try:
        line = _encoder.encode(entry)
    except Exception:  # noqa: BLE001 - it holds a surrogate
        line = _NUL
    if _has_nul(line):
        line = _encode_one(entry, max_bytes)
    return line if len(line) <= max_bytes else _cut(line, max_bytes)


def _has_nul(encoded: bytes) -> bool:
    # Most text has no backslash, and one letter is found in a tenth of the time.
    return b"\\" in encoded and _NUL in encoded


def _encode_one(entry: Entry, max_bytes: int) -> bytes:
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if isinstance(value, Trace):
            value = _render(value)
        if isinstance(value, str):
            setattr(entry, name, clean_text(value))
        elif isinstance(value, dict):
            # What has the name of a secret is masked already.
            setattr(entry, name, Cleaner(lambda _: False, max_bytes).mapping(value, 0))
    try:
        return _encoder.encode(entry)
    except Exception as error:  # noqa: BLE001 - cannot be; but if it is, the others must go on
        return _encoder.encode(
            LogEntry(
                "ERROR",
                clean_text(safe_text(entry.message, str)),
                0.0,
                "BACKEND",
                metadata=msgspec.Raw(msgspec.json.encode({"unreadable": type(error).__name__})),
            )
        )


# A record that is too long

#: Bytes kept for the mark that says what was cut.
_MARK: Final = 320
#: Text of fewer bytes is cut without a mark of its own.
_MARK_WORTH: Final = 100
#: Columns that only hold certain values or a whole one: none of them is cut.
_WHOLE: Final = frozenset({"level", "created_at", "log_type", "environment", "method", "duration_ms"})
_IDENTIFIERS: Final = ("trace_id", "user_id", "session_id")


def _cut(line: bytes, max_bytes: int) -> bytes:
    """The line, cut where it is longest; `metadata.truncated` says how long it was and what was cut."""
    columns: dict[str, Any] = msgspec.json.decode(line)
    metadata: dict[str, Any] = columns.pop("metadata", {})
    fixed = {name: value for name, value in columns.items() if name in _WHOLE}
    room = max_bytes - len(msgspec.json.encode(fixed)) - _MARK
    lost = set()
    # A field of which there is no room for the name and a few letters cannot be shortened.
    if sum(_size(name) for name in metadata) + 16 * len(metadata) > room // 2:
        metadata = {name: value for name, value in metadata.items() if name in _KEPT and _size(value) < room // 16}
        lost.add("metadata")
    parts = {("", name): value for name, value in columns.items() if name not in _WHOLE}
    parts |= {("metadata", name): value for name, value in metadata.items()}
    sizes = {part: _size(value) for part, value in parts.items()}
    share = _fair_share(sizes.values(), room - sum(_size(name) + 2 for _, name in parts))
    entry = dict(fixed)
    for part, value in parts.items():
        place, name = part
        if sizes[part] > share:
            lost.add(place or name)
            if name in _IDENTIFIERS and not place:
                place = "metadata"
            value = _shorter(value, share)
        (metadata if place else entry)[name] = value
    metadata[unused("truncated", metadata)] = {"bytes": len(line), "fields": sorted(lost)}
    return msgspec.json.encode({**entry, "metadata": metadata})


#: What is left of metadata when there is room for little.
_KEPT: Final = frozenset({"logger", "line", "process", "thread"})


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _fair_share(sizes: Iterable[int], room: int) -> int:
    """The longest that a part may be so that all of them fit, the short ones whole."""
    left = max(room, 0)
    remaining = sorted(sizes)
    for number, size in enumerate(remaining):
        share = left // (len(remaining) - number)
        if size > share:
            return share
        left -= size
    return max(remaining, default=0)


def _shorter(value: Any, size: int) -> str:
    """Text, or what JSON writes for anything else, in at most `size` bytes of JSON."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    length = max(0, size - 2)
    # Where there is room for few letters, they are not given to a mark.
    cut = shortened if size > _MARK_WORTH else lambda text, length: text[:length]
    while _size(made := cut(text, length)) > size and length:
        length = length * 3 // 4
    return made


# Bodies


class _Body(msgspec.Struct):
    logs: list[msgspec.Raw]


_decoder: Final = msgspec.json.Decoder(_Body)


def join_runs(runs: Iterable[Run]) -> bytes:
    """The body of a batch: `{"logs":[…]}`."""
    return join_lines(run.encoded for run in runs)


def join_lines(lines: Iterable[bytes]) -> bytes:
    """The body of a batch of encoded entries."""
    # What goes around them is put on the first and the last: to copy all of it once more would take its time.
    parts = [*lines] or [b""]
    parts[0] = _OPEN + parts[0]
    parts[-1] += _CLOSE
    return b",".join(parts)


def split_body(body: bytes) -> list[bytes]:
    """The lines of an uncompressed body, byte for byte as they were joined."""
    return [bytes(line) for line in _decoder.decode(body).logs]


# The levels are those that save the most for their time: `tests/benchmarks/compression.py`.
try:
    from isal import igzip_lib
except ImportError:  # No wheel for this platform.

    def compress(body: bytes) -> bytes:
        """gzip, the same bytes each time."""
        return gzip.compress(body, 3, mtime=0)

else:

    def compress(body: bytes) -> bytes:
        """gzip, the same bytes each time."""
        return bytes(igzip_lib.compress(body, 1, igzip_lib.COMP_GZIP))


def decompress(body: bytes) -> bytes:
    """What `compress` compressed."""
    return zlib.decompress(body, wbits=31)
