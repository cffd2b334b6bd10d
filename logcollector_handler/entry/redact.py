"""What must not be shown: values under the names of secrets, and texts that are known to hold one.

A name is taken by its words, which end at a change of case, a digit, or any sign: `db_password`, `DB-Password` and
`user.dbPassword2` all end in the word `password`. It means a secret if its last words are the words of a secret's
name, whatever is run together or apart (`api_key`, `apikey`, `ApiKey`), in the singular or plural. So `password_reset`
and `token_count` mean none. `secret_names` has the names, and the exceptions.

What is masked by patterns and not by names is in `patterns`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .memory import make_room
from .pairs import masked_pairs
from .secret_names import (
    ADDRESSES,
    CARRIERS,
    CLEAR,
    DEFAULT_REDACT,
    OF_ADDRESSES,
    PLURALS,
    QUESTIONS,
    RUN_TOGETHER,
    SINGULAR,
)

__all__ = ["DEFAULT_REDACT", "MASK", "Hidden", "Printed", "Redactor"]

#: What stands in the place of a masked value.
MASK: Final = "***"

#: Names that are remembered, and how much of the end of a name counts, in characters.
_REMEMBERED: Final = 4096
_LONGEST: Final = 200

_CHANGE_OF_CASE: Final = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_WORDS: Final = re.compile(r"[\W\d_]+")

#: What a name means: nothing special, a secret, or something in which parameters of a query can be.
_PLAIN, _SECRET, _ADDRESS = range(3)


class Redactor:
    """Answers whether a field's value must be masked, by the field's name; masks texts by the names in them.

    Args:
        names: the names of secrets, in any spelling. Without any, nothing is masked.
    """

    def __init__(self, names: Iterable[str]) -> None:
        singular = frozenset("".join(_words(name)) for name in names) - {""}
        self._names = singular | {f"{name}s" for name in singular - SINGULAR}
        self._run_together = tuple(name for name in (*RUN_TOGETHER, *PLURALS) if name in self._names)
        self._known: dict[str, int] = {}

    def __call__(self, name: str) -> bool:
        """Whether the name is that of a secret."""
        known = self._known.get(name)
        return (self._look(name) if known is None else known) == _SECRET

    def is_address(self, name: str) -> bool:
        """Whether a value of that name can be a URL or the like. Then texts in it must go through `masked`."""
        known = self._known.get(name)
        return (self._look(name) if known is None else known) == _ADDRESS

    def masked(self, text: str) -> str:
        """The text of a URL, a query, a body or a `repr`, with what stands under the names of secrets in it masked."""
        return masked_pairs(text, self, MASK) if self._names else text

    def _look(self, name: str) -> int:
        """What a name means, which is remembered."""
        words = _words(name[-_LONGEST:])
        if self._is_secret(words):
            meaning = _SECRET
        else:
            meaning = _ADDRESS if self._names and _last(words, OF_ADDRESSES) in ADDRESSES else _PLAIN
        if len(name) <= _LONGEST:
            make_room(self._known, _REMEMBERED)
            self._known[name] = meaning
        return meaning

    def _is_secret(self, words: list[str]) -> bool:
        if not QUESTIONS.isdisjoint(words):
            return False
        for end in range(len(words), 0, -1):
            for start in range(end):
                name = "".join(words[start:end])
                if name in self._names:
                    return True
                if name in _CLEAR:
                    return False
            last = words[end - 1]
            if last.endswith(self._run_together):
                return True
            if last not in CARRIERS:
                return False
        return False


class Hidden(str):
    """A text with a secret in it: used it is the text, but its `repr` and what is logged of it are `shown` instead.

    So a traceback with its variables, a dict of settings or a dataclass that holds one shows nothing of it.
    """

    shown: str

    def __new__(cls, text: str, shown: str = MASK) -> Hidden:
        """Hide a text, and show the other one."""
        self = super().__new__(cls, text)
        self.shown = shown
        return self

    def __repr__(self) -> str:
        return repr(self.shown)


class Printed(str):
    """What `repr` made of an object, in a value that was made plain before it was known which names are secret."""


def _words(name: str) -> list[str]:
    apart = _BETWEEN_WORDS.split(_CHANGE_OF_CASE.sub(" ", name).casefold())
    return [word for word in apart if word]


def _last(words: list[str], but: frozenset[str]) -> str:
    """The last word that is none of those; "" if there is none."""
    left = [word for word in words if word not in but]
    return left[-1] if left else ""


_CLEAR: Final = frozenset("".join(_words(name)) for name in CLEAR)
