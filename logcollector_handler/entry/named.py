"""Values whose name stands beside them instead of being their key, so that names of secrets are seen there as well.

("authorization", "Bearer abc")                       a pair, as in headers
{"name": "DB_PASSWORD", "value": "abc"}               a pair as a mapping, as in variables of the environment
["psql", "--password", "abc"]                         an option of a command, and its value
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from .marks import number_left_out
from .redact import MASK, Redactor
from .text import key_text

#: Under what keys a mapping has a name and its value.
_NAME: Final = ("name", "Name", "key", "Key")
VALUE: Final = frozenset({"value", "Value"})


class Named(NamedTuple):
    """A value with its name, which is no secret's. Texts in it may be addresses, if the name says so."""

    name: str
    value: Any


def is_pair(items: Sequence[Any]) -> bool:
    """Whether these items can be a name and its value, and not an item and the mark of others that are left out."""
    return len(items) == 2 and isinstance(items[0], str | bytes) and not number_left_out(items[1])


def masked_pair(pair: Sequence[Any], secret: Redactor) -> list[Any]:
    """A name and its value, which is masked if the name is a secret's."""
    name = key_text(pair[0])
    return [pair[0], MASK if secret(name) else Named(name, pair[1])]


def masked_options(items: list[Any], secret: Redactor) -> list[Any]:
    """The items of a list: values of secret options are masked, and lists that are pairs become tuples.

    A list of two is a pair among others only: alone, it can be a list of two names.
    """
    if {str, list}.isdisjoint(map(type, items)):
        return items
    made: list[Any] = []
    is_of_option = False
    for item in items:
        if type(item) is list and is_pair(item):
            made.append(tuple(item))
        else:
            made.append(MASK if is_of_option else item)
        is_of_option = type(item) is str and item.startswith("--") and secret(item)
    return made


def masked_mapping(pairs: list[tuple[Any, Any]], secret: Redactor) -> list[tuple[Any, Any]]:
    """The items of a mapping: if that is a name and a value, and the name a secret's, the value is masked."""
    if not any(key in VALUE for key, _ in pairs):
        return pairs
    names = [value for key, value in pairs if key in _NAME]
    if not any(isinstance(name, str | bytes) and secret(key_text(name)) for name in names):
        return pairs
    return [(key, MASK if key in VALUE else value) for key, value in pairs]
