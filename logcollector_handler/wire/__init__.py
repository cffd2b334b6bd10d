"""How entries are written and bodies are read again: one file a format, and what all formats share.

Belongs here: what follows from entries and bytes alone. Nothing here does I/O or starts a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .collector import CollectorFormat
from .format import Format

#: Every format, by the name that the settings call it.
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({"collector": CollectorFormat()})
