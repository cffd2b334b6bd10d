"""How entries are written and bodies are read again: one file a format, and what all formats share.

Belongs here: what follows from entries and bytes alone. Nothing here starts a thread. The only I/O is that encoding an
exception has `entry.traceback` read the source files that it shows; what `resource` reads off the environment and the
host is the same for all entries of a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .collector import CollectorFormat
from .format import Format
from .ndjson import NdjsonFormat
from .otlp import OtlpFormat

#: Every format, by the name that the setting `wire` has for it.
FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {"collector": CollectorFormat(), "ndjson": NdjsonFormat(), "otlp": OtlpFormat()}
)
