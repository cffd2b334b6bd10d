"""Whatever fields are passed, whichever way: each value is in the entry, or under a mark that says what was cut.

The fields are made so that no two values are equal. So a value in the entry can only be the one that was passed.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logcollector_handler import LogClient
from logcollector_handler.entry.bound import bound
from logcollector_handler.entry.record import STANDARD
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from tests.entry.making import BIG, ORIGIN, builder, encode_lines, record
from tests.entry.strategies import check_entry

Fields = dict[str, Any]

#: Bytes of an entry that are no user's field: columns of the record, `metadata.truncated`, marks.
REST = 800
#: Parts of an entry beside the user's fields that get a share of the bytes.
PARTS = 18


# What is passed: shapes first, then values that are all different.


class Shape:
    """A value to be made."""

    def __init__(self, make: Callable[[Iterator[int]], Any], said: str) -> None:
        self.make = make
        self._said = said

    def __repr__(self) -> str:
        return self._said


NUMBER = Shape(next, "number")


def text(size: int) -> Shape:
    return Shape(lambda numbers: f"<{next(numbers)}>{'x' * size}", f"text({size})")


def wide(size: int) -> Shape:
    return Shape(lambda numbers: f"<{next(numbers)}>{'é' * size}", f"wide({size})")


def many(count: int) -> Shape:
    return Shape(lambda numbers: [next(numbers) for _ in range(count)], f"many({count})")


def keys(count: int) -> Shape:
    return Shape(lambda numbers: {f"a key {number}": next(numbers) for number in range(count)}, f"keys({count})")


def listed(*inner: Shape) -> Shape:
    return Shape(lambda numbers: [each.make(numbers) for each in inner], f"listed{inner}")


def named(inner: dict[Any, Shape]) -> Shape:
    return Shape(lambda numbers: {key: each.make(numbers) for key, each in inner.items()}, f"named({inner})")


kinds: list[tuple[str, Callable[[Iterator[int]], Any]]] = [
    ("number", next),
    ("float", lambda numbers: next(numbers) + 0.5),
    ("bytes", lambda numbers: b"%d" % next(numbers)),
    ("decimal", lambda numbers: decimal.Decimal(next(numbers)) / 10),
    ("time", lambda numbers: datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=next(numbers))),
    ("huge", lambda numbers: 10**30 + next(numbers)),
]
sizes = st.sampled_from([0, 3, 60, 400, 3_000, 20_000])
leaves = st.sampled_from([Shape(make, said) for said, make in kinds]) | st.builds(text, sizes) | st.builds(wide, sizes)
leaves |= st.builds(many, st.sampled_from([3, 500, 3_000])) | st.builds(keys, st.sampled_from([3, 300]))
usual = "a, b, order, a (2), logger, line, process, thread, metadata, user_id, path, duration_ms, environment"
odd = "level, created_at, name, args, msg, truncated"
names = st.sampled_from([*usual.split(", "), *odd.split(", "), "k" * 300, "n" * 5_000, "n" * 5_001])
shapes = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda each: listed(*each))
        | st.dictionaries(names | st.integers(0, 3), inner, max_size=4).map(named)
    ),
    max_leaves=10,
)


def made(given: dict[str, Shape]) -> Fields:
    numbers = itertools.count(1_000_000)
    return {name: each.make(numbers) for name, each in given.items()}


# The ways in: each makes a record of the fields, and the rest of them may be bound.


client = LogClient()
client_records: list[logging.LogRecord] = []


def catch(each: logging.LogRecord) -> bool:
    """A filter that keeps the record for the test, and does not let it pass."""
    client_records.append(each)
    return False


client.handler.addFilter(catch)
processor = LogCollectorProcessor(client.handler)


def by_extra(fields: Fields) -> logging.LogRecord:
    return record(extra={name: value for name, value in fields.items() if name not in STANDARD})


def by_dict(fields: Fields) -> logging.LogRecord:
    return record({"event": "hello", **fields})


def by_dict_and_extra(fields: Fields) -> logging.LogRecord:
    """Half of the names are used in both."""
    extra = {name: [value] for name, value in list(fields.items())[::2] if name not in STANDARD}
    return record({"event": "hello", **fields}, extra=extra)


def by_client(fields: Fields) -> logging.LogRecord:
    client.info("hello", **fields)
    return client_records.pop()


def by_structlog(fields: Fields) -> logging.LogRecord:
    processor(None, "info", {"event": "hello", **fields})
    return client_records.pop()


WAYS = [by_extra, by_dict, by_dict_and_extra, by_client, by_structlog]


def passed(way: Callable[[Fields], logging.LogRecord], fields: Fields, ambient: Fields) -> list[tuple[Any, Any]]:
    """All that is passed on; instead of a dict named `metadata` the fields in it."""
    given = [(name, value) for name, value in fields.items() if way is not by_extra or name not in STANDARD]
    # A field of the call replaces a bound one of its name, but for those of the client that are named as attributes of
    # a record: they go into `metadata`, beside the bound ones.
    names = {name for name, _ in given if not (way is by_client and name in STANDARD)}
    given += [(name, value) for name, value in ambient.items() if name == "metadata" or name not in names]
    if way is by_dict_and_extra:
        given += [(name, [value]) for name, value in list(fields.items())[::2] if name not in STANDARD]
    return [
        pair
        for name, value in given
        for pair in (value.items() if name == "metadata" and type(value) is dict else [(name, value)])
    ]


# The check. It knows how values are mended and what marks look like, and nothing else.
def said(value: Any) -> Any:
    """What JSON makes of a value."""
    if isinstance(value, dict):
        return {str(key): said(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [said(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, decimal.Decimal) or (isinstance(value, int) and value >= 2**64):
        return str(value)
    return value


def number_missing(mark: Any) -> int:
    found = re.fullmatch(r"(?:… )?(\d+) more left out", mark) if isinstance(mark, str) else None
    return int(found[1]) if found else 0


def is_cut(text: str, shown: Any) -> bool:
    found = re.fullmatch(r"(.*)… \[(\d+) more characters cut\]", shown, re.DOTALL) if isinstance(shown, str) else None
    return found is not None and text.startswith(found[1]) and len(found[1]) + int(found[2]) == len(text)


def is_name(name: str, shown: str) -> bool:
    """Whether this is the name, perhaps cut, perhaps numbered."""
    whole = re.sub(r"(?: \(\d+\))+$", "", shown)
    if name in (shown, whole) or shown.startswith(f"{name} ("):
        return True
    # It may have been numbered before it was cut, too.
    return any(is_cut(name + " (10)"[:more], whole) for more in (0, 4, 5))


def is_there(value: Any, shown: Any) -> bool:
    """Whether a value is shown, with a mark where it was cut."""
    if isinstance(value, dict):
        return isinstance(shown, dict) and not without(list(value.items()), shown)
    if isinstance(value, list):
        if not isinstance(shown, list):
            return False
        missing = number_missing(shown[-1]) if shown else 0
        kept = shown[:-1] if missing else shown
        return len(kept) + missing == len(value) and all(map(is_there, value, kept))
    value = said(value)
    return bool(value == shown) or (isinstance(value, str) and is_cut(value, shown))


def without(fields: list[tuple[Any, Any]], shown: Fields, in_columns: int = 0) -> list[str]:
    """The names of the fields that are not shown, and that the mark among the others does not count.

    The mark may also count those whose text a column shows in part: the whole of it would stand among the others.
    """
    passed_on = {str(key) for key, _ in fields}
    named, others = set(), []
    lost, doubtful = [], 0  # doubtful: what is left of another field looks the same
    for name, value in ((str(key), value) for key, value in fields):
        if name in shown and is_there(value, shown[name]):
            doubtful += name in named
            named.add(name)
        else:
            others.append((name, value))
    changed = {name for name in shown if name not in passed_on or name.endswith(")")}  # numbered or cut
    free = changed - named
    for name, value in others:
        found = {each for each in changed if is_name(name, each) and is_there(value, shown[each])}
        if not found:
            lost.append(name)
        elif not found & free:
            doubtful += 1
        free -= {*sorted(found & free)[:1]}
    return [] if len(lost) <= number_missing(shown.get("…")) <= len(lost) + doubtful + in_columns else lost or ["…"]


def columns_cut(entry: dict[str, Any]) -> set[str]:
    """The columns that were cut with too little room for a mark. `truncated` names them."""
    marks = [mark for key, mark in entry["metadata"].items() if key.startswith("truncated") and isinstance(mark, dict)]
    return {name for mark in marks for name in mark.get("fields", ())}


def in_column(name: str, value: Any, entry: dict[str, Any], cut: set[str]) -> bool:
    """Whether a column shows the value, or what is left of it. `cut`: the columns that were cut."""
    was_cut = name in cut
    # An identifier that is cut is in `metadata` instead.
    shown = entry.get(name, entry["metadata"].get(name) if was_cut else None)
    if name == "metadata" or shown is None or isinstance(value, list | dict):
        return False
    value = said(value)
    if shown in (value, str(value)) or (name == "duration_ms" and shown == float(value)):
        return True
    return was_cut and isinstance(shown, str) and (is_cut(str(value), shown) or str(value).startswith(shown))


def check(way: Callable[[Fields], logging.LogRecord], fields: Fields, ambient: Fields, limit: int) -> None:
    around = bound(None, ambient)
    by, plain = builder(max_record_bytes=limit, bound=lambda: around), builder(max_record_bytes=limit)
    neighbour = record("neighbour")
    entries = [plain.build(neighbour), by.build(way(fields)), plain.build(neighbour)]
    first, line, last = encode_lines(entries, limit)
    assert (first, json.loads(first)["message"]) == (last, "neighbour")
    entry = check_entry(line, limit)
    assert entry["message"] == "hello"
    given = passed(way, fields, ambient)
    columns = columns_cut(entry)
    elsewhere = [pair for pair in given if not in_column(*pair, entry, columns)]
    lost = without(elsewhere, entry["metadata"], len(given) - len(elsewhere))
    assert not lost, f"neither there nor under a mark: {lost}"
    share = (limit - REST) // (len(given) + PARTS)
    for name, value in elsewhere:
        if len(json.dumps([name, said(value)])) <= share and entry["metadata"].get(str(name)) != said(value):
            shown = [entry["metadata"][each] for each in entry["metadata"] if is_name(str(name), each)]
            assert said(value) in shown, f"{name} is not whole"
    assert entry["metadata"].keys() >= ORIGIN


groups = st.dictionaries(names, shapes, max_size=6)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(groups, groups, st.sampled_from([1024, 2_000, 6_000, 30_000, BIG]))
@example({"metadata": named({"a": text(3)}), "a": text(3)}, {}, BIG)
@example({"metadata": named({"path": text(3)}), "path": text(600)}, {}, BIG)
@example({"a": many(6_000), "order": named({"id": text(0)})}, {}, BIG)
@example({"a": text(3), "metadata": named({"a": text(3)})}, {"metadata": named({"a": text(3)})}, BIG)
@example({"a": text(3), "logger": text(3)}, {"a": text(3), "logger": text(3), "line": text(3)}, BIG)
@example({"a (2)": text(3), "metadata": text(3)}, {"metadata": named({"a": text(3), "a (2)": text(3)})}, 1024)
@example({"a": listed()}, {"a (2)": listed()}, 1024)
@example(
    {"a": NUMBER, "b": NUMBER},
    {"path": text(3000), "logger": NUMBER, "order": text(60), "a (2)": text(60), "line": keys(3)},
    1024,
)
@example({"metadata": keys(300)}, {"metadata": keys(300)}, 1024)
@example({"line": listed(), "process": listed(), "a": listed(text(3000))}, {"a (2)": listed(text(400))}, 1024)
@example({"n" * 5_000: text(0), "n" * 5_001: text(0), "a": text(0)}, {}, 2_000)
def test_each_value_is_in_the_entry_or_under_a_mark(
    way: Callable[[Fields], logging.LogRecord], given: dict[str, Shape], around: dict[str, Shape], limit: int
) -> None:
    numbers = made({**given, **{f"bound {name}": each for name, each in around.items()}})
    ambient = {name: numbers[f"bound {name}"] for name in around}
    check(way, {name: numbers[name] for name in given}, ambient, limit)


@pytest.mark.parametrize("way", [by_extra, by_dict], ids=lambda way: str(way.__name__))
@pytest.mark.parametrize(
    ("given", "around"),
    [
        ({"order": keys(30_000), "a": text(0)}, {"b": many(100_000)}),
        ({"metadata": keys(30_000), "a": text(0)}, {}),
        ({"k" * 140_000: text(0), "a": text(0), "b": text(200_000)}, {}),
        ({f"a key {number}": text(10) for number in range(9_000)}, {}),
    ],
    ids=["nested", "merged", "names", "extras"],
)
def test_each_value_of_very_many_or_long_ones_is_in_the_entry_or_under_a_mark(
    way: Callable[[Fields], logging.LogRecord], given: dict[str, Shape], around: dict[str, Shape]
) -> None:
    check(way, made(given), {name: each.make(itertools.count()) for name, each in around.items()}, BIG)


def test_the_mark_of_a_url_that_is_cut_twice_counts_all_that_is_missing() -> None:
    check(by_extra, {"a": list(range(1_000_000, 1_000_500))}, {"path": ["x" * 20_000]}, 6000)


def test_what_is_bound_twice_under_metadata_and_cut_both_times_has_one_mark_for_all_that_is_missing() -> None:
    sizes = [40_000, 50_000]
    parts = [{f"field {number} of {size}": number for number in range(size)} for size in sizes]
    made = bound(bound(None, {"metadata": parts[0]}), {"metadata": parts[1]})
    assert made is not None
    _, _, metadata = made.fields["metadata"]
    assert len(metadata) - 1 + number_missing(metadata["…"]) == sum(sizes)
    assert len(metadata) < sum(sizes) / 2
