"""How entries are written: the formats, by the name that people give them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .collector import CollectorFormat
from .format import Format

#: Every format there is.
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({"collector": CollectorFormat()})
