"""Protocol Buffers, as much of it as OTLP needs: how fields are written, and how they are read again.

A message is its fields one after another, each a tag (its number and its wire type) and a value. A message inside
another is a field with the length of its bytes in front of them, so messages are written from the inside out. Messages
that are written one after another are one message: that is why bodies of OTLP can be put together from runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

#: Wire types: how long a value is.
VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_SIZES: Final = {FIXED64: 8, FIXED32: 4}
#: The longest varint: 64 bits, seven in a byte.
_LONGEST: Final = 10
#: Says of a text why it cannot be written.
NUL: Final = "U+0000 in a text"
_64_BITS: Final = 2**64 - 1


def varint(value: int) -> bytes:
    """A whole number of up to 64 bits; a negative one as its two's complement."""
    value &= _64_BITS
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


@lru_cache(maxsize=1024)
def length(size: int) -> bytes:
    """A length, as it stands before the bytes. Most lengths are small and come again and again."""
    return varint(size)


def delimited(tag: bytes, content: bytes) -> bytes:
    """A field that is a message, text or bytes."""
    return b"%b%b%b" % (tag, length(len(content)), content)


def utf8(text: str) -> bytes:
    """The bytes of a text. Raises ValueError for U+0000 and lone surrogates, which receivers cannot store."""
    encoded = text.encode()
    if b"\0" in encoded:
        raise ValueError(NUL)
    return encoded


class Field(NamedTuple):
    """One field of a message that was read."""

    number: int
    wire_type: int
    #: Bytes, or a number without a sign.
    value: int | bytes
    #: The whole field, with its tag.
    encoded: bytes


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in their order. Raises ValueError if it is not one, and for groups, which OTLP has not.

    Messages inside are bytes here, so how deep they are nested does not matter.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError(f"no field has the number {number}")
        value: int | bytes
        if wire_type == VARINT:
            value, at = _read_varint(message, at)
        else:
            if wire_type == BYTES:
                size, at = _read_varint(message, at)
            elif wire_type in _SIZES:
                size = _SIZES[wire_type]
            else:
                raise ValueError(f"the wire type {wire_type} is not read")
            if size > len(message) - at:
                raise ValueError("it ends inside of a field")
            value = message[at : at + size]
            at += size
            if wire_type != BYTES:
                value = int.from_bytes(value, "little")
        yield Field(number, wire_type, value, message[start:at])


def content(field: Field) -> bytes:
    """The bytes of a field that is a message, text or bytes. Raises ValueError if it is something else."""
    if field.wire_type != BYTES or isinstance(field.value, int):
        raise ValueError(f"field {field.number} has the wire type {field.wire_type}")
    return field.value


def unsigned(field: Field, wire_type: int) -> int:
    """The number that a field of that wire type is. Raises ValueError if it has another one."""
    if field.wire_type != wire_type or isinstance(field.value, bytes):
        raise ValueError(f"field {field.number} has the wire type {field.wire_type}")
    return field.value


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The number there, and where it ends."""
    value = 0
    for index, byte in enumerate(message[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("a number ends too early or is longer than it can be")
