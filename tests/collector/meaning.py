"""What a query means: a plain evaluation of its tree, and random entries and queries to compare with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from logcollector_handler.collector.tree import METADATA, All, Either, Has, Node, Not, Word
from logcollector_handler.entry.model import LEVELS


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """All values that a dotted path can mean, lists opened."""
    if isinstance(value, list):
        for each in value:
            yield from values_at(each, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        for count in range(1, len(path) + 1):
            if ".".join(path[:count]) in value:
                yield from values_at(value[".".join(path[:count])], path[count:])


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    else:
        yield value


def in_json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def is_equal(value: Any, wanted: str | float) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        amount = amount_of(wanted)
        # 44563700366594750 is how JavaScript writes the float 44563700366594752.
        return value == (float(amount) if amount is not None and isinstance(value, float) else amount)
    return not isinstance(value, dict) and in_json(value) == wanted


def amount_of(text: str | float) -> float | None:
    """A number, an int if that is how it is written."""
    for kind in (int, float):
        try:
            return kind(text) if isinstance(text, str) else text
        except ValueError:
            pass
    return None


def compares(value: Any, how: str, wanted: str | float) -> bool:
    if how == "=":
        return is_equal(value, wanted)
    if not isinstance(wanted, str):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        order = {"<": -1 if is_number and value < wanted else 0, ">": 1 if is_number and value > wanted else 0}
        return is_number and (any(order[sign] for sign in how if sign != "=") or ("=" in how and value == wanted))
    if not isinstance(value, str):
        return False
    pattern = {"begins": r"\A{}", "contains": "{}", "ends": r"{}\Z"}[how]
    return re.search(pattern.format(re.escape(wanted.lower())), value.lower()) is not None


def evaluated(node: Node, entry: dict[str, Any]) -> bool:
    """Whether the entry matches, as simply as it can be said."""
    if isinstance(node, Not):
        return not evaluated(node.node, entry)
    if isinstance(node, All | Either):
        return (all if isinstance(node, All) else any)(evaluated(each, entry) for each in node.nodes)
    if isinstance(node, Word):
        begins = r"(?<![^\W_])" if node.text[0].isalnum() and not node.anywhere else ""
        pattern = begins + re.escape(node.text.lower())
        texts = [entry.get("message"), entry.get("stack_trace")]
        if any(re.search(pattern, text.lower()) for text in texts if text is not None):
            return True
        whole = [entry.get("trace_id"), entry.get("user_id"), entry.get("session_id")]
        whole += map(in_json, leaves(entry.get("metadata", {})))
        return not node.anywhere and node.text in whole
    name = node.field
    if name.startswith(METADATA):
        found = list(values_at(entry.get("metadata", {}), name.removeprefix(METADATA).split(".")))
    else:
        logger = entry.get("metadata", {}).get("logger")
        entry = {**entry, "logger": logger if isinstance(logger, str) else None}
        found = [entry.get(name, {"level": "INFO", "log_type": "BACKEND"}.get(name))]
    if isinstance(node, Has):
        return any(value is not None for value in found)
    if name == "level" and node.how != "=":
        return compares(LEVELS.index(found[0]), node.how, float(LEVELS.index(str(node.value))))
    if not name.startswith(METADATA):
        found = [value for value in found if value is not None]
    return any(compares(value, node.how, node.value) for value in found)


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


WORDS = one_of("card", "no card", "cardinal", "a-b", "CARD", "a_b", "7", "7.5", "true", "Zürich", "%", 'x"y', "\\")
KEYS = one_of("a", "b", "a.b", "a.a", "card", "logger", "level", 'we"ird: \\', "größe", "0")
LONG = 1234567890123456789
NUMBERS = [4.456370036659475e16, 7, 7.0, 7.5, -7, 1e16, 10**16, 1e-7, LONG, LONG - 1, 10 * LONG, 10 * LONG - 1, 1.5e300]
OTHERS: list[Any] = [*NUMBERS, True, False, None, "7.0", "null", "a\nb", "x card"]
JSON: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.sampled_from(OTHERS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
ENTRIES = st.fixed_dictionaries(
    {"message": st.lists(WORDS, max_size=3).map(" ".join)},
    optional={
        "level": st.sampled_from(LEVELS),
        "service": WORDS,
        "stack_trace": st.lists(WORDS, max_size=2).map("\n".join),
        "error_type": WORDS,
        "user_id": WORDS,
        "trace_id": WORDS,
        "session_id": WORDS,
        "path": WORDS,
        "duration_ms": st.sampled_from([7.0, 7.5, 0.0]),
        "environment": one_of("test", "production"),
        "metadata": st.dictionaries(KEYS, JSON, max_size=3),
    },
)
QUOTED = WORDS.map(lambda word: msgspec.json.encode(word).decode())
COLUMNS = one_of("service", "error_type", "user_id", "trace_id", "session_id", "path", "logger")
NAMES = COLUMNS | one_of(
    *("a", "b", "a.b", "a.b.a", "metadata.card", "metadata.logger", "metadata.level", "größe", "a.größe"),
    *('"we\\"ird: \\\\"', '"0"', "metadata.0"),
)
ORDER = one_of("<", "<=", ">", ">=", ":", "!=")
LOOSE = one_of(
    "7",
    "7.0",
    "+7",
    "true",
    "c*",
    "*d",
    "*-*",
    "null",
    "*",
    "7.50",
    "1e16",
    "0.0000001",
    f"{10**16}",
    "44563700366594750",
)
AMOUNTS = one_of("7", "7.2", "-1", "1e16", f"{LONG}", f"{LONG}.0", f"{10 * LONG}", f"{10 * LONG - 1}", "15e299")
TERMS = st.one_of(
    QUOTED,
    one_of("card", "car", "c", "*ard", "*a*", "%", "Zür", "zürich", "environment:prod", "environment!=prod"),
    st.builds("{}{}{}".format, NAMES, one_of(":", "!="), QUOTED | LOOSE),
    st.builds("{}{}{}".format, one_of("duration_ms", "a", "a.b"), ORDER, AMOUNTS),
    st.builds("level{}{}".format, ORDER, st.sampled_from([*LEVELS, "warning", "Critical", "err"])),
    st.builds("created_at{}{}".format, ORDER, one_of("2", "1970-01-01T00:00:03Z", "1970-01-01T01:00:01+01:00", "-1s")),
    st.builds("has:{}".format, NAMES),
    st.builds("{}:{}".format, COLUMNS, LOOSE),
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        inner.map("-({})".format),
        st.builds("({} {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
    ),
    max_leaves=4,
)
