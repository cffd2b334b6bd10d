"""How entries are written and bodies are read again: one file a format, and what all formats share.

Belongs here: what follows from entries and bytes alone. Nothing here starts a thread. The only I/O is that encoding an
exception has `entry.traceback` read the source files that it shows; what `resource` reads off the environment and the
host is the same for all entries of a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from .collector import CollectorFormat
from .format import Format


def _ndjson() -> Format:
    from .ndjson import NdjsonFormat

    return NdjsonFormat()


def _otlp() -> Format:
    from .otlp import OtlpFormat

    return OtlpFormat()


class _Formats(Mapping[str, Format]):
    """Formats by their names. Each is made, and its module imported, when it is first asked for."""

    def __init__(self, makers: Mapping[str, Callable[[], Format]]) -> None:
        self._makers = makers
        self._made: dict[str, Format] = {}

    def __getitem__(self, name: str) -> Format:
        return self._made.get(name) or self._made.setdefault(name, self._makers[name]())

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


#: Every format, by the name that the setting `wire` has for it.
FORMATS: Final[Mapping[str, Format]] = _Formats({"collector": CollectorFormat, "ndjson": _ndjson, "otlp": _otlp})
