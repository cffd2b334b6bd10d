"""Cuts an encoded entry that is longer than a record may be, so that it fits, and says in it what was cut.

For entries that are one JSON object each, as the formats made of JSON write them. Sizes are exact here: everything is
plain JSON already. How the room is divided is decided in `entry.shares`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from logcollector_handler.entry.marks import MARK_BYTES, MORE, cut, items_left_out, left_out, number_left_out, uncut
from logcollector_handler.entry.model import COLUMNS, ORIGIN, Identifier, Text
from logcollector_handler.entry.shares import ITEM_SHARE, LEAST, grants
from logcollector_handler.entry.text import unused

#: Bytes kept free for `metadata.truncated`.
_MARK: Final = 320
#: A text that is cut to fewer bytes gets no mark of its own: the mark would take most of the room.
_MARK_WORTH: Final = 48
#: Columns that are not text. A part of a number or of one of a few allowed values would mean something else.
_WHOLE: Final = frozenset(name for name, kind in COLUMNS.items() if not isinstance(kind, Text | Identifier))
#: Columns that must not be cut either, but whose values `metadata` can hold.
_IDENTIFIERS: Final = frozenset(name for name, kind in COLUMNS.items() if isinstance(kind, Identifier))
#: Bytes around a name and its value: `:` and `,`.
_NAMED: Final = 2
#: A cut that ends inside of an escape sequence or of a character is moved back by at most so many bytes.
_LONGEST: Final = 6
#: Names that are numbered because they were cut to the same text take more than their share. Then the entry is cut
#: anew, to fewer bytes, at most so often.
_ATTEMPTS: Final = 8

_encode: Final = msgspec.json.Encoder().encode


def fit(line: bytes, max_bytes: int) -> bytes:
    """The line in at most `max_bytes`; `metadata.truncated` says how many bytes it had and which columns were cut.

    Raises msgspec.DecodeError if the line is not JSON.
    """
    columns: dict[str, Any] = msgspec.json.decode(line)
    metadata: dict[str, Any] = columns.pop("metadata", {})
    size = len(line) + sum(map(_bytes_cut_before, (*columns.values(), *metadata.values())))
    limit = max_bytes
    for _ in range(_ATTEMPTS):
        made = _fitted(columns, metadata, size, limit)
        if len(made) <= max_bytes:
            return made
        limit -= len(made) - max_bytes
    return _fitted(columns, {MORE: left_out(len(metadata))}, size, max_bytes)


def _fitted(columns: dict[str, Any], metadata: dict[str, Any], size: int, max_bytes: int) -> bytes:
    entry = {name: value for name, value in columns.items() if name in _WHOLE}
    room = max_bytes - len(_encode(entry)) - _MARK
    missing = number_left_out(metadata.get(MORE))
    texts = [(name, value) for name, value in columns.items() if name not in _WHOLE]
    origin = [(name, value) for name, value in metadata.items() if name in ORIGIN]
    others = [
        (name, value) for name, value in metadata.items() if name not in ORIGIN and not (missing and name == MORE)
    ]
    pairs = [*texts, *origin, *others]
    if others:
        room -= MARK_BYTES
    sizes = [_size(name) + _size(value) + _NAMED for name, value in pairs]
    lost = set()
    kept: dict[str, Any] = {}
    granted = grants(sizes, room, len(texts) + len(origin))
    for index, ((name, value), needed, given) in enumerate(zip(pairs, sizes, granted, strict=True)):
        is_column = index < len(texts)
        if needed > given:
            lost.add(name if is_column else "metadata")
        if not given:
            missing += 1
            continue
        if is_column and (needed <= given or name not in _IDENTIFIERS):
            entry[name] = _cut(value, given - _size(name) - _NAMED)
        else:
            name, value = _cut_field(name, value, given)
            kept[unused(name, kept)] = value
    kept[unused("truncated", kept)] = {"bytes": size, "fields": sorted(lost)}
    if missing:
        kept[unused(MORE, kept)] = left_out(missing)
    return _encode({**entry, "metadata": kept})


def _size(value: object) -> int:
    return len(_encode(value))


def _bytes_cut_before(value: Any) -> int:
    """How many bytes of JSON an earlier cut took from a text, as far as its mark and what it kept tell."""
    if type(value) is not str:
        return 0
    kept, missing, unit = uncut(value)
    return missing if unit == "bytes" or not kept else missing * (_size(kept) - 2) // len(kept)


def _cut_field(name: str, value: Any, room: int) -> tuple[str, Any]:
    """The name and the value, together in `room` bytes with what is around them."""
    room -= _NAMED
    size = _size(value)
    if _size(name) + size <= room:
        return name, value
    name = _cut_text(name, max(room // 2, room - size))
    return name, _cut(value, room - _size(name))


def _cut(value: Any, room: int) -> Any:
    """The value in at most `room` bytes of JSON, if these are enough for a mark or a number."""
    if _size(value) <= room:
        return value
    if isinstance(value, str):
        return _cut_text(value, room)
    if isinstance(value, dict):
        return _cut_fields(value, room)
    if isinstance(value, list):
        return _cut_items(value, room)
    return value


def _cut_fields(fields: dict[str, Any], room: int) -> dict[str, Any]:
    missing = number_left_out(fields.get(MORE))
    pairs = [(name, value) for name, value in fields.items() if not (missing and name == MORE)]
    sizes = [_size(name) + _size(value) + _NAMED for name, value in pairs]
    made: dict[str, Any] = {}
    for (name, value), given in zip(pairs, grants(sizes, room - MARK_BYTES, 0), strict=True):
        if given:
            name, value = _cut_field(name, value, given)
            made[unused(name, made)] = value
        else:
            missing += 1
    if missing:
        made[unused(MORE, made)] = left_out(missing)
    return made


def _cut_items(items: list[Any], room: int) -> list[Any]:
    """Of a few items each gets a share, as fields do. Of many items the first ones stay."""
    missing = number_left_out(items[-1])
    whole = items[:-1] if missing else items
    made: list[Any] = []
    if not missing and len(items) * ITEM_SHARE <= room:
        granted = grants([_size(item) + 1 for item in items], room - 1, len(items))
        return [_cut(item, given - 1) for item, given in zip(items, granted, strict=True)]
    room -= MARK_BYTES
    for item in whole:
        size = _size(item) + 1
        if size > room:
            if room >= LEAST:
                made.append(_cut(item, room - 1))
            break
        made.append(item)
        room -= size
    missing += len(whole) - len(made)
    return [*made, items_left_out(missing)] if missing else made


def _cut_text(text: str, room: int) -> str:
    """The beginning of a text in at most `room` bytes of JSON, with a mark if there is room for one."""
    if _size(text) <= room:
        return text
    whole, missing, unit = uncut(text)
    mark = ""
    if room >= _MARK_WORTH:
        mark = cut(len(whole) + missing, unit)
    kept = _beginning(whole, room - len(mark.encode()))
    return kept + cut(len(whole) - len(kept) + missing, unit) if mark else kept


def _beginning(text: str, room: int) -> str:
    """As much of a text as takes at most `room` bytes of JSON, with its quotes."""
    encoded = _encode(text[: max(0, room)])
    if len(encoded) <= room:
        return msgspec.json.decode(encoded, type=str)
    for end in range(room - 1, max(0, room - 1 - _LONGEST), -1):
        try:
            return msgspec.json.decode(encoded[:end] + b'"', type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # it ends inside of an escape sequence or of a character
    return ""
