"""The query language of the search box and the command line: from text to a tree of conditions.

    timeout "no such card"           both: a word is found at the beginning of words, a phrase as it stands
    *out                             anywhere in a word
    -refund  NOT refund              without it
    card OR bank, (a OR b) c         either; parentheses
    service:shop  status:500         a column or a key of `metadata` is this value
    path:/api/*  path:*order*        begins with, contains (any case)
    duration_ms>50  level>=WARN      also < <= and !=
    created_at>-1h                   times as `times` reads them
    http.status_code:500             a key at any depth, or a key with a dot in its name
    "strange key":"a value"          quotes make a name or a value of anything; \\" is a quote
    has:trace_id                     there is such a value

Words are looked for in the message and the stack trace. A word that is, as a whole, the trace, user or session id, or
any value in `metadata` (such as `request_id`), is found as well.

`conditions` makes SQL of the tree. Pure: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar, cast

from logcollector_handler.wire.posted.body import RefusedError

from . import compared
from .tree import All, Either, Has, How, Node, Not, Word, field_called

T = TypeVar("T")

#: Maximum of words and comparisons in a query, and of parentheses and negations inside each other.
MAX_TERMS: Final = 50
MAX_NESTED: Final = 30

_SPACE: Final = re.compile(r"\s*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_FIELD: Final = re.compile(r"[^\W\d][\w.\-@/$]*(?=!=|>=|<=|[:=<>])")
_OPERATOR: Final = re.compile(r"!=|>=|<=|[:=<>]")
_BARE: Final = re.compile(r'[^\s()"]+')
#: How half a comparison begins that people have written as two words, or with a colon.
_HALF: Final = re.compile(r"(?:!=|[<>]=?|=)(?:[-+]?\.?\d|$)")
_TOGETHER: Final = "a comparison is one word: amount>50, level>=WARN; to look for the text itself, put it into quotes"


def parse(text: str, now: float) -> Node:
    """The tree of a query; `now` is what `-1h` counts from, in Unix seconds.

    Raises RefusedError (400), with the position in `text` of what is wrong.
    """
    return _Parser(text, now).whole()


class _Parser:
    def __init__(self, text: str, now: float) -> None:
        self._text = text
        self._now = now
        self._at = 0
        self._terms = 0
        self._nested = 0

    def whole(self) -> Node:
        node = self._either()
        if self._at < len(self._text):
            raise self._wrong("this parenthesis closes none", self._at)
        return node

    def _either(self) -> Node:
        nodes = [self._all()]
        while self._keyword("OR"):
            nodes.append(self._all())
        return nodes[0] if len(nodes) == 1 else Either(tuple(nodes))

    def _all(self) -> Node:
        nodes: list[Node] = []
        while True:
            self._skip()
            begin = self._at
            if self._keyword("AND"):
                if not nodes:
                    raise self._wrong("nothing stands before this AND", begin)
                self._skip()
                if self._ends() or self._keyword("AND"):
                    raise self._wrong("nothing stands behind this AND", begin)
            elif self._ends():
                break
            nodes.append(self._one())
        if not nodes:
            raise self._wrong("something to look for is missing here", self._at)
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def _one(self) -> Node:
        self._skip()
        begin = self._at
        minus = self._text.startswith("-", begin) and not self._text[begin + 1 : begin + 2].isspace()
        if minus and begin + 1 < len(self._text):
            self._at += 1
        elif not self._keyword("NOT"):
            return self._group() if self._text.startswith("(", begin) else self._term()
        self._deeper(begin)
        self._skip()
        if self._ends():
            raise self._wrong("nothing stands behind this negation", begin)
        node = self._one()
        self._nested -= 1
        return Not(node)

    def _group(self) -> Node:
        begin = self._at
        self._deeper(begin)
        self._at += 1
        node = self._either()
        if not self._text.startswith(")", self._at):
            raise self._wrong("this parenthesis is not closed", begin)
        self._at += 1
        self._nested -= 1
        return node

    def _deeper(self, at: int) -> None:
        self._nested += 1
        if self._nested > MAX_NESTED:
            raise self._wrong(f"more than {MAX_NESTED} parentheses and negations are inside each other", at)

    def _term(self) -> Node:
        begin = self._at
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self._wrong(f"more than {MAX_TERMS} words and comparisons", begin)
        quoted = self._quoted()
        if quoted is not None:
            if _OPERATOR.match(self._text, self._at):
                return self._comparison(quoted, begin)
            if not quoted.strip():
                raise self._wrong("there is nothing between these quotes", begin)
            return Word(quoted)
        name = _FIELD.match(self._text, self._at)
        # A URL is a word.
        if name is not None and not self._text.startswith("://", name.end()):
            self._at = name.end()
            return self._comparison(name[0], begin)
        return self._word(begin)

    def _word(self, begin: int) -> Word:
        bare = _BARE.match(self._text, self._at)
        assert bare is not None  # noqa: S101 - `_all` looked that something is there
        if _HALF.match(bare[0]):
            raise self._wrong(_TOGETHER, begin)
        self._at = bare.end()
        text = bare[0].strip("*")
        if not text:
            raise self._wrong("a star needs letters beside it", begin)
        if "*" in text:
            raise self._wrong(compared.STAR_INSIDE, begin)
        return Word(text, anywhere=bare[0].startswith("*"))

    def _comparison(self, name: str, begin: int) -> Node:
        operator = _OPERATOR.match(self._text, self._at)
        assert operator is not None  # noqa: S101 - the callers looked
        self._at = value_at = operator.end()
        if name.lower() == "has" and operator[0] in ":=":
            asked, _ = self._value(value_at, "the name of a field")
            return Has(self._field(asked, value_at))
        field = self._field(name, begin)
        value, is_quoted = self._value(value_at, f"a value for {name}")
        if not is_quoted and _HALF.match(value):
            raise self._wrong(_TOGETHER, value_at)
        if operator[0] not in (":", "=", "!="):
            how = cast("How", operator[0])
            return self._checked(value_at, lambda: compared.ordered(field, how, value, self._now))
        node: Node
        if not is_quoted and "*" in value:
            node = self._checked(value_at, lambda: compared.starred(field, value))
        else:
            node = self._checked(value_at, lambda: compared.equal(field, value, self._now))
        return Not(node) if operator[0] == "!=" else node

    def _checked(self, at: int, make: Callable[[], T]) -> T:
        try:
            return make()
        except ValueError as error:
            raise self._wrong(str(error), at) from error

    def _field(self, name: str, at: int) -> str:
        field = field_called(name)
        if field is None:
            raise self._wrong(f"{name!r} is not the name of a field; keys of metadata are metadata.key", at)
        return field

    def _value(self, at: int, what: str) -> tuple[str, bool]:
        """What stands behind an operator, and whether it is quoted."""
        quoted = self._quoted()
        if quoted is not None:
            return quoted, True
        bare = _BARE.match(self._text, self._at)
        if bare is None:
            raise self._wrong(f"{what} is missing here; to look for the text itself, put it into quotes", at)
        self._at = bare.end()
        return bare[0], False

    def _quoted(self) -> str | None:
        if not self._text.startswith('"', self._at):
            return None
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            raise self._wrong("this quote is not closed", self._at)
        self._at = found.end()
        return re.sub(r'\\(["\\])', r"\1", found[1])

    def _keyword(self, word: str) -> bool:
        self._skip()
        end = self._at + len(word)
        if not self._text.startswith(word, self._at) or not re.match(r"[\s()]|$", self._text[end : end + 1]):
            return False
        self._at = end
        return True

    def _ends(self) -> bool:
        """Whether the text, the group, or this side of an OR ends here."""
        at = self._at
        if at == len(self._text) or self._text.startswith(")", at):
            return True
        is_or = self._keyword("OR")
        self._at = at
        return is_or

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _wrong(self, what: str, at: int) -> RefusedError:
        return RefusedError(400, f"q: {what} (character {at + 1}).", position=at)
