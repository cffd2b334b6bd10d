"""gzip for bodies: from what size on, by which library, and back again."""

from __future__ import annotations

import sys
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
    import gzip

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body always gives the same bytes."""
        return gzip.compress(body, 3, mtime=0)

else:

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body always gives the same bytes."""
        return bytes(igzip_lib.compress(body, 1, igzip_lib.COMP_GZIP))


def decompress(body: bytes, max_bytes: int = sys.maxsize) -> bytes:
    """The body that `compress` was given. Raises zlib.error if it is not gzip, or unpacks to more than `max_bytes`."""
    unpacking = zlib.decompressobj(wbits=31)
    # One byte more than may come, to see that it is too much.
    plain = unpacking.decompress(body, min(max_bytes + 1, sys.maxsize))
    if len(plain) > max_bytes:
        raise zlib.error(f"it unpacks to more than {max_bytes} bytes")
    if not unpacking.eof:
        raise zlib.error("it ends too early")
    return plain
