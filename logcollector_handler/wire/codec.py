"""Entries -> the bytes of a body, and back. A body is one JSON object around entries of one line each."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from .schema import LogEntry
from .traces import Trace
from .values import clean_text, safe_text, shortened

try:
    from isal import igzip_lib
except ImportError:  # No wheel for this platform.
    igzip_lib = None  # type: ignore[assignment]  # the module, or nothing

#: Entries that are encoded in one call: few calls, and no more memory than so many entries need.
_SLICE: Final = 100
_OPEN: Final = b'{"logs":['
_CLOSE: Final = b"]}"
#: How U+0000 looks in JSON; a backslash before such letters looks the same, and is found innocent later.
_NUL: Final = b"\\u0000"


def _render(value: object) -> Any:
    """What the encoder does not know: an exception that was captured and is printed now."""
    if not isinstance(value, Trace):
        raise TypeError(f"{type(value).__name__} is nothing an entry can hold")
    try:
        return value.render()
    except Exception as error:  # noqa: BLE001 - code of the application: loaders, and classes of exceptions
        return f"{value.error_type} (its traceback could not be printed: {type(error).__name__})"


_encoder: Final = msgspec.json.Encoder(enc_hook=_render)


def encode_lines(entries: Sequence[LogEntry], max_bytes: int) -> list[bytes]:
    """Each entry as one line of JSON, at most `max_bytes` long. Never raises for what an entry holds."""
    lines: list[bytes] = []
    for start in range(0, len(entries), _SLICE):
        part = entries[start : start + _SLICE]
        try:
            encoded = _encoder.encode_lines(part)
        except Exception:  # noqa: BLE001 - one of them holds a surrogate: find it
            encoded = _NUL
        if _NUL in encoded:
            made = [_encode_one(entry) for entry in part]
        else:
            made = encoded.split(b"\n")
            made.pop()
        if len(encoded) > max_bytes:
            made = [line if len(line) <= max_bytes else _cut(line, max_bytes) for line in made]
        lines += made
    return lines


def _encode_one(entry: LogEntry) -> bytes:
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if isinstance(value, Trace):
            value = _render(value)
        if isinstance(value, str):
            setattr(entry, name, clean_text(value))
        elif name == "metadata" and value is not UNSET and _NUL in bytes(value):
            continue
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


def _cut(line: bytes, max_bytes: int) -> bytes:
    """The line, cut where it is longest; `metadata.truncated` says how long it was and what was cut."""
    entry: dict[str, Any] = msgspec.json.decode(line)
    metadata = entry.pop("metadata", {})
    long = {name: entry[name] for name in entry if isinstance(entry[name], str)}
    parts = {**{f"metadata.{name}": value for name, value in metadata.items()}, **long}
    sizes = {name: len(msgspec.json.encode(value)) for name, value in parts.items()}
    share = _fair_share(sizes, max_bytes - _MARK - 16 * len(parts))
    while True:
        cut = sorted(name for name, size in sizes.items() if size > share)
        kept = {name: _shorter(value, share) if name in cut else value for name, value in parts.items()}
        short = {**entry, **{name: kept[name] for name in long}}
        short["metadata"] = {
            name: kept[f"metadata.{name}"] for name in metadata if kept[f"metadata.{name}"] is not None
        }
        names = list(dict.fromkeys(name.partition(".")[0] for name in cut))
        short["metadata"]["truncated"] = {"bytes": len(line), "fields": names}
        made = msgspec.json.encode(short)
        if len(made) <= max_bytes:
            return made
        if share < 8:
            # Nothing but keys: no user's field has room.
            short["metadata"] = {"truncated": {"bytes": len(line), "fields": ["metadata"]}}
            return msgspec.json.encode(short)
        share //= 2


def _fair_share(sizes: dict[str, int], room: int) -> int:
    """The longest that a part may be so that all of them fit, the short ones whole."""
    left = max(room, 0)
    remaining = sorted(sizes.values())
    for number, size in enumerate(remaining):
        share = left // (len(remaining) - number)
        if size > share:
            return share
        left -= size
    return max(remaining, default=0)


def _shorter(value: Any, size: int) -> Any:
    """Text of at most `size` bytes in JSON; None for what cannot be shortened."""
    if not isinstance(value, str):
        return None
    length = max(0, size - 2)
    while length and len(msgspec.json.encode(shortened(value, length))) > size:
        length = length * 3 // 4
    return shortened(value, length)[: max(0, size - 2)] if length else ""


# Bodies


class _Body(msgspec.Struct):
    logs: list[msgspec.Raw]


_decoder: Final = msgspec.json.Decoder(_Body)


def join_lines(lines: Sequence[bytes]) -> bytes:
    """The body of a batch: `{"logs":[…]}`."""
    return _OPEN + b",".join(lines) + _CLOSE


def split_body(body: bytes) -> list[bytes]:
    """The lines of an uncompressed body, byte for byte as they were joined."""
    return [bytes(line) for line in _decoder.decode(body).logs]


if igzip_lib is not None:

    def compress(body: bytes) -> bytes:
        """gzip, the same bytes each time."""
        return bytes(igzip_lib.compress(body, 1, igzip_lib.COMP_GZIP))

else:

    def compress(body: bytes) -> bytes:
        """gzip, the same bytes each time."""
        return gzip.compress(body, 6, mtime=0)


def decompress(body: bytes) -> bytes:
    """What `compress` compressed."""
    return zlib.decompress(body, wbits=31)
