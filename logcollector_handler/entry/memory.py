"""Memories: dicts of what was worked out before, which forget gradually when they are full."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

#: A full memory forgets one of this many parts of what it holds: small enough for a logging call to wait for it.
_PARTS: Final = 64


def make_room(memory: dict[Any, Any], limit: int) -> None:
    """Before something is added to a memory that may hold `limit` items: if it is full, forget its oldest items."""
    if len(memory) >= limit:
        for key in list(islice(memory, -(-limit // _PARTS))):
            # Another thread may have forgotten it already.
            memory.pop(key, None)
