"""The files that pages load: only those named here, never another file on the disk."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

#: The module that pages import, its worker, and what these import, all under one path.
NAMES: Final = frozenset(
    f"{name}.js"
    for name in (
        *("browser", "client", "page", "pipeline", "plain", "stack", "batch"),
        *("worker", "sending", "store", "entry", "columns", "redact", "patterns", "settings"),
        *("delivery", "outbox", "settlement", "suspects", "answers"),
    )
)


class File(NamedTuple):
    """One file, as it is and compressed."""

    content: bytes
    compressed: bytes
    etag: str


@cache
def file(name: str) -> File:
    """The file of that name, one of NAMES."""
    content = (files("logcollector_handler") / "javascript" / name).read_bytes()
    return File(content, gzip.compress(content, mtime=0), f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"')
