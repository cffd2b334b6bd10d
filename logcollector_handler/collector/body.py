"""From the bytes of a POST to the list of entries in it: decompress, parse, and bound both.

What a single entry may hold is told in `entries`; nothing here looks into one. Pure: no I/O, no threads.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

MIB: Final = 1024 * 1024
#: Values in a body, for each entry that it may have.
PARTS: Final = 300
#: A gzip stream is unpacked in pieces of this size, so that a bomb is noticed one piece late at most.
_PIECE: Final = MIB
#: zlib's way to say: a gzip header and trailer are expected.
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Limits:
    """What one request may hold. One that holds more is answered 413."""

    #: Bytes of the body as they come over the wire.
    body_bytes: int = 16 * MIB
    #: Bytes of the body after decompression.
    decompressed_bytes: int = 32 * MIB
    #: Entries in one batch.
    batch_length: int = 10_000
    #: Bytes of all bodies that are in memory, as they come over the wire; one that does not fit is answered 503.
    held_bytes: int = 256 * MIB


class RefusedError(Exception):
    """The request is refused: the status to answer, the reason in plain words, the entry if it was one."""

    def __init__(self, status: int, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.index = index


@dataclass(frozen=True)
class RawBatch:
    """The entries of a body, as JSON gave them."""

    entries: list[Any]
    #: There may be a U+0000, a lone surrogate or a number that is not finite somewhere in it.
    suspicious: bool


def read_body(body: bytes, encoding: str, limits: Limits) -> RawBatch:
    """Decompress and parse the body of a POST.

    `encoding` is the Content-Encoding header, empty when there was none. Raises RefusedError: 413 when a
    limit is passed, 415 for an encoding other than gzip, 400 for broken gzip or JSON that is not expected.
    """
    encoding = encoding.strip().lower()
    if encoding == "gzip":
        body = _gunzip(body, limits.decompressed_bytes)
    elif encoding not in ("", "identity"):
        raise RefusedError(415, f"Content-Encoding {encoding!r} is not supported. Send gzip, or no encoding.")
    elif len(body) > limits.decompressed_bytes:
        raise RefusedError(413, f"The body is larger than {limits.decompressed_bytes} bytes.")
    # An empty object takes three bytes there, and more than twenty times as much here. Signs in texts count as well.
    if sum(body.count(sign) for sign in (b"{", b"[", b",")) > PARTS * limits.batch_length:
        raise RefusedError(413, f"The body has more than {PARTS * limits.batch_length} values in it.")
    document, suspicious = _parse(body)
    entries = document.get("logs") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise RefusedError(400, 'The body must be an object with a list of entries: {"logs": [...]}.')
    if len(entries) > limits.batch_length:
        raise RefusedError(
            413, f"The batch has {len(entries)} entries; at most {limits.batch_length} are accepted at once."
        )
    return RawBatch(entries, suspicious)


def _gunzip(data: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    # A gzip file may be several streams, one after the other, and padded with zeros.
    while data:
        stream = zlib.decompressobj(_GZIP)
        while not stream.eof:
            try:
                piece = stream.decompress(data, _PIECE)
            except zlib.error as error:
                raise RefusedError(400, f"The body is not valid gzip: {error}.") from error
            data = stream.unconsumed_tail
            if not piece and not data and not stream.eof:
                raise RefusedError(400, "The body is not valid gzip: it ends too early.")
            size += len(piece)
            if size > limit:
                raise RefusedError(413, f"The decompressed body is larger than {limit} bytes.")
            pieces.append(piece)
        data = stream.unused_data.lstrip(b"\0")
    return b"".join(pieces)


def _parse(body: bytes) -> tuple[Any, bool]:
    try:
        # U+0000 can only be written as this escape: a raw one is not JSON.
        return msgspec.json.decode(body), b"\\u0000" in body
    except RecursionError:
        raise RefusedError(400, "The body is nested too deep.") from None
    except (msgspec.DecodeError, ValueError):
        pass
    # What the standard library takes beyond msgspec, lone surrogates, NaN and 1e999, other servers take too:
    # then it is one entry that is wrong, and not the whole body.
    try:
        return json.loads(body.decode()), True
    except RecursionError:
        raise RefusedError(400, "The body is nested too deep.") from None
    except ValueError as error:
        raise RefusedError(400, f"The body is not valid JSON: {error}.") from error
