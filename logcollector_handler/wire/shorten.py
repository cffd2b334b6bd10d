"""Cuts an encoded entry that is longer than a record may be, where it is longest, and says in it what was cut.

For entries that are one JSON object each, as the formats made of JSON write them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from logcollector_handler.entry.model import COLUMNS, Identifier, Text
from logcollector_handler.entry.text import shortened, unused

#: Bytes kept free for `metadata.truncated`.
_MARK: Final = 320
#: A text that is cut to fewer bytes gets no mark of its own: the mark would take most of the room.
_MARK_WORTH: Final = 100
#: Columns that are not text. A part of a number or of one of a few allowed values would mean something else.
_WHOLE: Final = frozenset(name for name, kind in COLUMNS.items() if not isinstance(kind, Text | Identifier))
#: Columns that must not be cut either, but whose values `metadata` can hold.
_IDENTIFIERS: Final = frozenset(name for name, kind in COLUMNS.items() if isinstance(kind, Identifier))
#: Fields that stay when `metadata` has too many or too long names to keep the others.
_KEPT: Final = frozenset({"logger", "line", "process", "thread"})


def shorten(line: bytes, max_bytes: int) -> bytes:
    """The line in at most `max_bytes`; `metadata.truncated` says how many bytes it had and which columns were cut.

    Raises msgspec.DecodeError if the line is not JSON.
    """
    columns: dict[str, Any] = msgspec.json.decode(line)
    metadata: dict[str, Any] = columns.pop("metadata", {})
    fixed = {name: value for name, value in columns.items() if name in _WHOLE}
    room = max_bytes - len(msgspec.json.encode(fixed)) - _MARK
    lost = set()
    # Names are not cut. If they and a few letters of each value do not fit, the user's fields are left out.
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


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _fair_share(sizes: Iterable[int], room: int) -> int:
    """The size to which longer parts must be cut so that all of them fit into the room."""
    left = max(room, 0)
    remaining = sorted(sizes)
    for number, size in enumerate(remaining):
        share = left // (len(remaining) - number)
        if size > share:
            return share
        left -= size
    return max(remaining, default=0)


def _shorter(value: Any, size: int) -> str:
    """The beginning of a text, or of the JSON of anything else, as text that takes at most `size` bytes in JSON."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    length = max(0, size - 2)
    cut = shortened if size > _MARK_WORTH else lambda text, length: text[:length]
    while _size(made := cut(text, length)) > size and length:
        length = length * 3 // 4
    return made
