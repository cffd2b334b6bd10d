"""An encoded entry that is longer than a record may be: cut where it is longest, with a mark that says how much.

Works on an entry as one JSON object, which is what `durability: record` writes and what the JSON formats send.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from logcollector_handler.entry.values import shortened, unused

#: Bytes kept for the mark that says what was cut.
_MARK: Final = 320
#: Text of fewer bytes is cut without a mark of its own.
_MARK_WORTH: Final = 100
#: Columns that only hold certain values or a whole one: none of them is cut.
_WHOLE: Final = frozenset({"level", "created_at", "log_type", "environment", "method", "duration_ms"})
_IDENTIFIERS: Final = ("trace_id", "user_id", "session_id")


def shorten(line: bytes, max_bytes: int) -> bytes:
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
