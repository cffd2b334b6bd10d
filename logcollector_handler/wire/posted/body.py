"""Turns the bytes of a POST into a list of entries: decompresses and parses them, within limits.

What a single entry may hold is decided in `entries`. Pure: no I/O, no threads.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

MIB: Final = 1024 * 1024
#: Values that a body may have for each entry of the largest batch.
PARTS: Final = 100
#: Bytes unpacked at once: a gzip bomb uses at most one piece more than the limit.
_PIECE: Final = MIB
#: Bytes of gzip given to zlib at once. It copies what it has not used at the end of each member, so this is short.
_GIVEN: Final = 4096
#: The `wbits` with which zlib expects a gzip header and trailer.
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Limits:
    """What one request may hold. A larger one is answered 413."""

    #: Bytes of the body as received (compressed).
    body_bytes: int = 16 * MIB
    #: Bytes of the body after decompression.
    decompressed_bytes: int = 32 * MIB
    #: Entries in one batch; also members of gzip in one body.
    batch_length: int = 10_000
    #: Bytes of all bodies in memory together, as received. Beyond this, the body that began to arrive first is given up
    #: and answered 503.
    held_bytes: int = 256 * MIB


class RefusedError(Exception):
    """The request is refused: with the status and the reason to answer.

    Where one entry is wrong, `index` is its index; where a query is, `position` is the index of the wrong character.
    """

    def __init__(self, status: int, reason: str, index: int | None = None, position: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.index = index
        self.position = position


@dataclass(frozen=True)
class RawBatch:
    """The entries of a body, parsed from JSON but not checked."""

    entries: list[Any]
    #: Whether it may contain a U+0000, a lone surrogate or a number that is not finite.
    suspicious: bool


def unpack(body: bytes, encoding: str, limits: Limits) -> bytes:
    """Decompress the body of a POST.

    `encoding` is the Content-Encoding header, empty if none was sent. Raises RefusedError: 413 if a limit is exceeded,
    415 for an encoding other than gzip, 400 for broken gzip.
    """
    encoding = encoding.strip().lower()
    if encoding == "gzip":
        return _gunzip(body, limits)
    if encoding not in ("", "identity"):
        raise RefusedError(415, f"Content-Encoding {encoding!r} is not supported. Send gzip, or no encoding.")
    if len(body) > limits.decompressed_bytes:
        raise RefusedError(413, f"The body is larger than {limits.decompressed_bytes} bytes.")
    return body


def read_body(body: bytes, encoding: str, limits: Limits) -> RawBatch:
    """Decompress and parse the body of a POST.

    Raises RefusedError as `unpack` does, and 400 for broken JSON, or JSON without a list of entries.
    """
    body = unpack(body, encoding, limits)
    # Bounds the memory after parsing: `{},` has three bytes and becomes an object of more than sixty. Counting these
    # characters overestimates the number of values, because those inside strings count as well.
    most = PARTS * limits.batch_length
    if len(body) > most and sum(body.count(sign) for sign in (b"{", b"[", b",")) > most:
        raise RefusedError(413, f"The body has more than {most} values in it.")
    document, suspicious = _parse(body)
    entries = document.get("logs") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise RefusedError(400, 'The body must be an object with a list of entries: {"logs": [...]}.')
    if len(entries) > limits.batch_length:
        raise RefusedError(
            413, f"The batch has {len(entries)} entries; at most {limits.batch_length} are accepted at once."
        )
    return RawBatch(entries, suspicious)


def _gunzip(data: bytes, limits: Limits) -> bytes:
    pieces: list[bytes] = []
    size = members = 0
    # A gzip file may consist of several members, one after the other, with zeros as padding behind them.
    member: zlib._Decompress | None = None
    for start in range(0, len(data), _GIVEN):
        given = data[start : start + _GIVEN]
        while True:
            if member is None:
                given = given.lstrip(b"\0") if members else given
                if not given:
                    break
                members += 1
                if members > limits.batch_length:
                    raise RefusedError(413, f"The body has more than {limits.batch_length} members of gzip.")
                member = zlib.decompressobj(_GZIP)
            try:
                piece = member.decompress(given, _PIECE)
            except zlib.error as error:
                raise RefusedError(400, f"The body is not valid gzip: {error}.") from error
            size += len(piece)
            if size > limits.decompressed_bytes:
                raise RefusedError(413, f"The decompressed body is larger than {limits.decompressed_bytes} bytes.")
            pieces.append(piece)
            if member.eof:
                given, member = member.unused_data, None
            elif piece:
                given = member.unconsumed_tail
            else:
                break
    if member is not None or not members:
        raise RefusedError(400, "The body is not valid gzip: it ends too early.")
    return b"".join(pieces)


def _parse(body: bytes) -> tuple[Any, bool]:
    try:
        # In JSON U+0000 can only be written as this escape.
        return msgspec.json.decode(body), b"\\u0000" in body
    except RecursionError:
        raise RefusedError(400, "The body is nested too deep.") from None
    except (msgspec.DecodeError, ValueError):
        pass
    # The standard library's parser also takes lone surrogates, NaN and 1e999, as the parsers of other servers do. Then
    # the check of the entries refuses only the entry that has one, with its index, and not the whole body as broken.
    try:
        return json.loads(body.decode()), True
    except RecursionError:
        raise RefusedError(400, "The body is nested too deep.") from None
    except ValueError as error:
        raise RefusedError(400, f"The body is not valid JSON: {error}.") from error
