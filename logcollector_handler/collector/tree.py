"""A query once it is parsed: a tree of conditions on entries. `language` makes it of text, `conditions` SQL of it.

Pure: no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from logcollector_handler.entry.model import COLUMNS

How: TypeAlias = Literal["=", "begins", "contains", "ends", "<", "<=", ">", ">="]

#: What the name of a key of `metadata` begins with, as a field.
METADATA: Final = "metadata."
#: The columns that a query can name; all other names are keys of `metadata`.
NAMED: Final = (*(name for name in COLUMNS if name != "metadata"), "logger")
#: Maximum of parts in the dotted name of a key.
MAX_PARTS: Final = 12


@dataclass(frozen=True)
class Word:
    """Text in the message or stack trace: at the beginning of a word, or anywhere. Or a whole id or metadata value."""

    text: str
    anywhere: bool = False


@dataclass(frozen=True)
class Compare:
    """A value compared with that of a field: a number for `<` and its like (and times), text for all others."""

    field: str
    how: How
    value: str | float


@dataclass(frozen=True)
class Has:
    """The field has a value that is not null."""

    field: str


@dataclass(frozen=True)
class Not:
    """What the other does not match."""

    node: Node


@dataclass(frozen=True)
class All:
    """What all of these match."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    """What at least one of these matches."""

    nodes: tuple[Node, ...]


Node: TypeAlias = Word | Compare | Has | Not | All | Either


def is_column(field: str) -> bool:
    """Whether the field is a column; else it is a key of `metadata`, and begins with METADATA."""
    return not field.startswith(METADATA)


def field_called(name: str) -> str | None:
    """The field that people call `name`: a column in any case, or a key of `metadata`. None if there cannot be one."""
    if name.lower() in NAMED:
        return name.lower()
    key = name.removeprefix(METADATA)
    if not key or name == "metadata" or key.count(".") >= MAX_PARTS:
        return None
    return METADATA + key


def path_of(field: str) -> str:
    """The dotted path in `metadata` of a field that is no column."""
    return field.removeprefix(METADATA)
