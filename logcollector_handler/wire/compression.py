"""gzip for bodies: when it pays, by which library, and back."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

#: A batch of this many entries or more is compressed, when compression is on.
COMPRESS_FROM: Final = 100

# The levels are those that save the most for their time: `tests/benchmarks/compression.py`.
try:
    from isal import igzip_lib
except ImportError:  # No wheel for this platform.

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body gives the same bytes each time, so that a retry repeats them."""
        return gzip.compress(body, 3, mtime=0)

else:

    def compress(body: bytes) -> bytes:
        """The body as gzip. The same body gives the same bytes each time, so that a retry repeats them."""
        return bytes(igzip_lib.compress(body, 1, igzip_lib.COMP_GZIP))


def decompress(body: bytes) -> bytes:
    """The body that `compress` was given. Raises zlib.error when this is no gzip."""
    return zlib.decompress(body, wbits=31)
