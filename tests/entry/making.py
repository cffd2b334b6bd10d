"""What the tests of entries and formats share: a builder, records, and the way of a record to JSON and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.model import Entry, LogEntry
from logcollector_handler.entry.redact import DEFAULT_REDACT
from logcollector_handler.wire.collector import CollectorFormat
from logcollector_handler.wire.posted.body import Limits, read_body
from logcollector_handler.wire.posted.entries import check

#: Largest record, in bytes, by default.
BIG = 256 * 1024
#: Fields of `metadata` that every record has.
ORIGIN = {"logger", "line", "process", "thread"}
FORMAT = CollectorFormat()


class Name(str):
    """A `str` that is not an exact one."""

    __slots__ = ()


class Broken:
    """An object that cannot be printed."""

    def __str__(self) -> str:
        raise ZeroDivisionError("broken")

    __repr__ = __str__


class Catcher(logging.Handler):
    """Keeps the records that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def builder(**changes: Any) -> EntryBuilder:
    """A builder with the settings of a shop in production."""
    settings: dict[str, Any] = {
        "service": "shop",
        "environment": "production",
        "service_version": "v1",
        "log_type": "BACKEND",
        "redact": DEFAULT_REDACT,
        "max_record_bytes": BIG,
        "usual_length": 800,
        "site_entry": FORMAT.site_entry,
        "common": FORMAT.common,
    }
    return EntryBuilder(**(settings | changes))


def record(
    msg: object = "hello", *args: object, extra: dict[str, Any] | None = None, **given: Any
) -> logging.LogRecord:
    """A record as a logger makes it, then with `given` attributes."""
    made = logging.getLogger("shop.cart").makeRecord(
        "shop.cart", logging.INFO, "/srv/cart.py", 12, msg, args, None, "add", extra
    )
    made.__dict__.update(given)
    return made


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of these pairs. Fails if a key comes twice."""
    made = dict(pairs)
    assert len(made) == len(pairs), f"a key twice in {pairs!r}"
    return made


def parsed(line: bytes) -> dict[str, Any]:
    """The entry in a line. Fails if any server's parser would refuse the line, or take it for something else."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    entry = json.loads(line.decode(), object_pairs_hook=no_duplicates, parse_constant=refuse)
    assert isinstance(entry, dict)
    return entry


def encode_lines(entries: Sequence[Entry], max_bytes: int) -> list[bytes]:
    """What the body of a batch has of each entry."""
    runs = FORMAT.encode(entries, max_bytes)
    lines = split(FORMAT.join(runs))
    assert sum(run.entries for run in runs) == len(lines) == len(entries)
    assert all(len(run.encoded) <= max_bytes for run in runs)
    return lines


def body_of(lines: Sequence[bytes]) -> bytes:
    """The body of a batch of these lines."""
    return FORMAT.join(FORMAT.runs_of_lines(lines))


def split(body: bytes) -> list[bytes]:
    """The lines of a body."""
    runs = FORMAT.split(body)
    assert all(run.entries == 1 for run in runs)
    return [bytes(run.encoded) for run in runs]


def metadata_of(entry: Entry) -> bytes:
    """The metadata of an entry whose metadata was encoded in the logging call."""
    assert isinstance(entry, LogEntry)
    return bytes(entry.metadata)  # type: ignore[arg-type]  # it is Raw


def shipped(*records: logging.LogRecord, by: EntryBuilder | None = None, max_bytes: int = BIG) -> list[dict[str, Any]]:
    """What the server is sent for these records. Fails if it would refuse that, or if a record was changed."""
    by = by or builder()
    entries = []
    for each in records:
        before = dict(each.__dict__)
        entries.append(by.build(each))
        assert list(map(id, before.values())) == list(map(id, each.__dict__.values())), "the record was changed"
        assert list(map(id, before)) == list(map(id, each.__dict__))
    lines = encode_lines(entries, max_bytes)
    assert max(map(len, lines), default=0) <= max_bytes
    accepted(lines)
    return [parsed(line) for line in lines]


def accepted(lines: Iterable[bytes]) -> None:
    """Fail unless the real server would take a batch of these lines, and store every field."""
    batch = check(read_body(body_of(list(lines)), "", Limits()), strict=True, now=0.0)
    assert not batch.ignored_keys


def ship(msg: object = "hello", *args: object, **given: Any) -> dict[str, Any]:
    """What the server is sent for one record."""
    return shipped(record(msg, *args, **given))[0]


def metadata(**extra: Any) -> dict[str, Any]:
    """The metadata that an extra of the call becomes, without what every record has."""
    return {name: value for name, value in ship(extra=extra)["metadata"].items() if name not in ORIGIN or name in extra}


def raised(error: BaseException) -> BaseException:
    """The exception after it was raised here."""
    try:
        raise error
    except BaseException as same:  # noqa: BLE001 - whatever it is
        return same


def exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    return type(error), error, error.__traceback__
