"""SQL for the tree of a query: its conditions, and which full-text index has the rows that can match.

Everything that people wrote becomes a parameter; names of columns come from `tree.field_called` alone. No condition is
ever NULL, so that NOT means what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from logcollector_handler.entry.model import LEVELS

from .compared import number, without_dashes
from .query import IDS
from .tree import All, Compare, Either, Has, Node, Not, Word, is_column, path_of

#: SQL and its values.
Sql: TypeAlias = tuple[str, list[str | float]]
#: Full-text indexes with an expression for each: the rows that any of them finds.
Finds: TypeAlias = list[tuple[str, str]]
#: The number of rows that an expression finds in an index; COMMON if there are more.
Count: TypeAlias = Callable[[str, str], int]

#: An expression that finds so many rows does not help: then the rows are read in the order in which they are wanted.
COMMON: Final = 20_000
#: Characters that the beginning of a word needs to be looked up: of shorter ones there are too many words.
_SHORTEST: Final = 3


def condition(node: Node) -> Sql:
    """The SQL that is 1 for the rows that match, and 0 for all others."""
    if isinstance(node, Word):
        return _word(node)
    if isinstance(node, Compare):
        return _compare(node)
    if isinstance(node, Has):
        if is_column(node.field):
            return f"{node.field} IS NOT NULL", []
        return "field_exists(metadata, ?)", [path_of(node.field)]
    if isinstance(node, Not):
        sql, values = condition(node.node)
        return f"NOT ({sql})", values
    parts = [condition(each) for each in node.nodes]
    joined = (" AND " if isinstance(node, All) else " OR ").join(f"({sql})" for sql, _ in parts)
    return joined, [value for _, values in parts for value in values]


def _word(word: Word) -> Sql:
    ids = _as_ids(word.text)
    sql = ["has_word(?, ?, message, stack_trace)"]
    values: list[str | float] = [word.text, int(word.anywhere)]
    if not word.anywhere:
        for column in IDS:
            sql.append(f"coalesce({column} IN ({', '.join('?' * len(ids))}), 0)")
            values += ids
        sql.append("has_value(metadata, ?)")
        values.append(word.text)
    return " OR ".join(sql), values


def _as_ids(text: str) -> list[str]:
    plain = without_dashes(text)
    return [text] if plain is None else [text, plain]


def _compare(node: Compare) -> Sql:
    column, how, value = node.field, node.how, node.value
    if not is_column(column):
        return "field_matches(metadata, ?, ?, ?)", [path_of(column), how, value]
    if how == "=":
        return f"{column} IS ?", [value]
    if column == "level":
        rank = LEVELS.index(str(value))
        levels = {"<": LEVELS[:rank], "<=": LEVELS[: rank + 1], ">": LEVELS[rank + 1 :], ">=": LEVELS[rank:]}[how]
        return f"level IN ({', '.join('?' * len(levels))})", list(levels)
    if how in ("begins", "contains", "ends"):
        # Most rows have no value in most columns: they are not worth the call.
        return f"{column} IS NOT NULL AND matches(?, ?, {column})", [how, value]
    return f"coalesce({column} {how} ?, 0)", [value]


def finds(node: Node, count: Count) -> tuple[int, Finds] | None:
    """Where all rows that can match are found, and at most how many that are; None if they are many, or not indexed.

    What is found still has to be compared by `condition`.
    """
    if isinstance(node, All):
        each = [found for part in node.nodes if (found := finds(part, count)) is not None]
        return min(each, key=lambda found: found[0], default=None)
    if isinstance(node, Either):
        total, places = 0, []
        for part in node.nodes:
            found = finds(part, count)
            if found is None or total + found[0] >= COMMON:
                return None
            total += found[0]
            places += found[1]
        return total, places
    wanted = _places(node)
    total = 0
    for index, expression in wanted:
        total += count(index, expression)
        if total >= COMMON:
            return None
    return (total, wanted) if wanted else None


def _places(node: Node) -> Finds:
    if isinstance(node, Word):
        return _places_of_word(node)
    if isinstance(node, Has) and not is_column(node.field):
        return _in_fields([_key(node.field)])
    if not isinstance(node, Compare):
        return []
    if is_column(node.field):
        if node.how == "=" and node.field in IDS and has_word(str(node.value)):
            return [("logs_ids", f"{node.field} : {quoted(str(node.value))}")]
        return []
    return _in_fields([_key(node.field), *_value(node)])


def _places_of_word(word: Word) -> Finds:
    if word.anywhere or not _is_long(word.text):
        return []
    ids = [("logs_ids", quoted(each)) for each in _as_ids(word.text)]
    return [("logs_text", f"{quoted(word.text)} *"), *ids, *_in_fields([_in_json(word.text)])]


def _is_long(text: str) -> bool:
    """Whether few enough words of the index begin as the last word of a text does."""
    # The index has letters and digits alone.
    words = "".join(sign if sign.isalnum() else " " for sign in text).split()
    return bool(words) and len(words[-1]) >= _SHORTEST


def _in_fields(expressions: list[str]) -> Finds:
    all_of_them = " AND ".join(filter(has_word, expressions))
    return [("logs_fields", all_of_them)] if all_of_them else []


def _key(field: str) -> str:
    return _in_json(path_of(field).rpartition(".")[2])


def _value(node: Compare) -> list[str]:
    if not isinstance(node.value, str):
        return []
    if node.how == "begins":
        return [f"{_in_json(node.value)} *"] if _is_long(node.value) else []
    return _texts(node.value) if node.how == "=" else []


def _texts(value: str) -> list[str]:
    """An expression for the ways in which JSON has a value: as text, or as a number."""
    amount = number(value)
    if amount is None:
        return [_in_json(value)]
    # All JSON in the file was written by msgspec, which has one way for each float.
    ways = [_in_json(value), _in_json(msgspec.json.encode(float(amount)).decode())]
    if amount == int(amount):
        ways.append(quoted(str(int(amount))))
    return [f"({' OR '.join(dict.fromkeys(ways))})"]


def _in_json(text: str) -> str:
    """The words of a text as they are in JSON, where a line break is the letter n behind a backslash."""
    return quoted(msgspec.json.encode(text).decode()[1:-1])


def quoted(text: str) -> str:
    """A text as one phrase of full-text search, in which nothing has a special meaning."""
    return '"' + text.replace('"', '""') + '"'


def has_word(text: str) -> bool:
    """Whether the full-text indexes are sure to have a word of it."""
    return any(map(str.isalnum, text))
