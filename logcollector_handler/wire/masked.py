"""`redact_patterns`: a format whose entries are masked before they are written.

The entry is masked where it is encoded: that is the listener's thread, and the logging call with `durability: record`.
What all records of a call site have in common is masked once, in the first call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw
from msgspec.json import decode, encode
from msgspec.structs import astuple

from logcollector_handler.entry.model import COLUMNS, TEXT_LIMITS, Entry, Identifier, LogEntry, Text
from logcollector_handler.entry.patterns import SHORTEST_MATCH, Patterns
from logcollector_handler.entry.redact import MASK
from logcollector_handler.entry.text import shortened, unused
from logcollector_handler.entry.traceback import Trace

from .format import Format, Run

_COLUMNS: Final = tuple(name for name, kind in COLUMNS.items() if isinstance(kind, Text | Identifier))


class MaskedFormat:
    """Another format, which gets masked entries. `Format` says what each of these is for.

    Args:
        wire: the other format.
        patterns: what is masked.
    """

    def __init__(self, wire: Format, patterns: Patterns) -> None:
        self._wire = wire
        self._patterns = patterns

    def __getattr__(self, name: str) -> Any:
        # All that has nothing to do with writing entries.
        return getattr(self._wire, name)

    def common(self, entry: LogEntry) -> Any:
        """What the other format prepares of a masked entry."""
        self._mask(entry, sys.maxsize)
        return self._wire.common(entry)

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The masked entries as the other format writes them."""
        for entry in entries:
            self._mask(entry, max_bytes)
        return self._wire.encode(entries, max_bytes)

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """The masked entry as the other format writes it."""
        self._mask(entry, max_bytes)
        return self._wire.encode_line(entry, max_bytes)

    def _mask(self, entry: Entry, max_bytes: int) -> None:
        """Mask an entry in place. Longer texts than `max_bytes` are cut first: so much cannot be sent."""
        if not isinstance(entry, LogEntry):
            # The rest of it was masked by `common`.
            entry.message = self._patterns.masked(entry.message)
            return
        if isinstance(entry.stack_trace, Trace):
            entry.stack_trace = entry.stack_trace.text()
        if isinstance(entry.stack_trace, str):
            entry.stack_trace = shortened(entry.stack_trace, max_bytes)
        # Most entries have nothing to mask. One look at all their texts together finds that out.
        if not self._patterns.can_match("\n".join(_texts(entry))):
            return
        for name in _COLUMNS:
            if isinstance(text := getattr(entry, name), str):
                setattr(entry, name, self._column(name, text))
        if isinstance(entry.metadata, Raw):
            entry.metadata = Raw(encode(self._value(decode(entry.metadata))))
        elif isinstance(entry.metadata, dict):
            entry.metadata = self._value(entry.metadata)

    def _column(self, name: str, text: str) -> str:
        """The masked text of a column, within its limit: the mask can be longer than what it stands for."""
        masked = self._patterns.masked(text)
        limit = TEXT_LIMITS.get(name)
        if limit is None or len(masked) <= limit:
            return masked
        # An identifier that is cut is none.
        return MASK if isinstance(COLUMNS[name], Identifier) else masked[:limit]

    def _value(self, value: Any) -> Any:
        """What JSON can hold, with its texts masked, the names too. A whole number counts as the text of its digits."""
        kind = type(value)
        if kind is str:
            return self._patterns.masked(value)
        if kind is int:
            masked = self._patterns.masked(text := str(value))
            return value if masked == text else masked
        if kind is list or kind is tuple:  # bound pairs are tuples
            return [self._value(each) for each in value]
        if kind is dict:
            made: dict[str, Any] = {}
            for name, each in value.items():
                made[unused(self._patterns.masked(name), made)] = self._value(each)
            return made
        return value


def _texts(entry: LogEntry) -> list[str]:
    """All texts of an entry that a ready pattern can match: shorter ones are left out."""
    texts = [each for each in astuple(entry) if type(each) is str and len(each) >= SHORTEST_MATCH]
    metadata = entry.metadata
    if isinstance(metadata, dict):
        return [*texts, *metadata, *map(str, metadata.values())]
    return [*texts, bytes(metadata).decode()] if isinstance(metadata, Raw) else texts
