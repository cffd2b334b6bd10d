"""gzip for bodies: from what size on, by which library, and back again."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

#: Batches of this many entries or more, or of this many bytes or more, are compressed, if compression is on.
COMPRESS_FROM: Final = 100
COMPRESS_BYTES: Final = 64 * 1024


def is_worth_compressing(entries: int, size: int) -> bool:
    """Whether a body of that many entries and bytes is compressed, if compression is on."""
    return entries >= COMPRESS_FROM or size >= COMPRESS_BYTES


# `tests/benchmarks/compression.py` found these levels to save the most bytes for their time.
try:
    from isal import igzip_lib
except ImportError:  # isal has no wheel for this platform.

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body always gives the same bytes."""
        return gzip.compress(body, 3, mtime=0)

else:

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body always gives the same bytes."""
        return bytes(igzip_lib.compress(body, 1, igzip_lib.COMP_GZIP))


def decompress(body: bytes) -> bytes:
    """The body that `compress` was given. Raises zlib.error for what is not gzip."""
    return zlib.decompress(body, wbits=31)
