"""OTLP over HTTP with protobuf, which most log engines take: `POST /v1/logs`.

A body is an ExportLogsServiceRequest: ResourceLogs (who logs) one after another, in each of them ScopeLogs (which
logger), in each of these LogRecords. A run is one ResourceLogs, so runs need nothing between them. The entries keep
their order: those side by side from one process and logger stand together. `conventions` says what an entry becomes.

A line for the journal is the entry as JSON, because the bytes of protobuf may hold a line end, and `resource.RESOURCE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw
from msgspec.json import decode, encode

from logcollector_handler.entry.marks import MORE, left_out
from logcollector_handler.entry.model import Entry, LogEntry, SiteEntry
from logcollector_handler.entry.text import clean_text, shortened

from .conventions import RESOURCE_LOGS, SCOPE_LOGS, Placed, placed, record
from .fitting import fit
from .format import Run, Taken
from .json_entries import JsonEntries, JsonSiteEntry
from .protobuf import FIXED64, VARINT, Field, content, delimited, fields, unsigned
from .resource import RESOURCE, for_others, variable

#: Where receivers take entries, below their URL.
PATH: Final = "/v1/logs"
#: Writes and reads lines, and entries that need care.
_JSON: Final = JsonEntries()
#: Entries in a run, at most.
_SLICE: Final = 100
#: Bytes of the tag and the length before a ResourceLogs or ScopeLogs, at most.
_TAGGED: Final = 5
#: A line of n bytes takes at most this many times n, and this many more, as OTLP.
_GROWTH: Final = 5
_GROWTH_BYTES: Final = 4096
#: An entry that is too long is cut as JSON. It is looked for how long it may be so that it fits as OTLP too, until it
#: takes that share of the room, at most so often.
_ATTEMPTS: Final = 8
_ENOUGH: Final = 0.75
#: Characters that are left of the message if that was not enough.
_LEAST: Final = 50
#: Fields of a line that stand in the resource, before the record.
_IN_RESOURCE: Final = ("service", "service_version", "environment", RESOURCE)

#: A record, behind the beginnings of the ResourceLogs and of the ScopeLogs in which it stands.
_Part = tuple[bytes, bytes, bytes]
_scope_of: Final = itemgetter(1)


class Common(msgspec.Struct, frozen=True, gc=False):
    """What the entries of a call site have in common, as OTLP and as JSON."""

    placed: Placed
    json: Raw


class OtlpSiteEntry(SiteEntry, gc=False):
    """An entry whose common part is encoded already."""

    common: Common


class OtlpFormat:
    """OTLP. `Format` says what each of these is for.

    A run that is one entry can be longer than `max_bytes` by what OTEL_RESOURCE_ATTRIBUTES says.
    """

    takes_whole_url: Final = False
    suffix: Final = ".pb"
    #: Receivers take between 1 and 20 MiB, and some of them answer to more as if they had failed.
    max_batch_bytes: Final = 1024 * 1024
    frame_bytes: Final = 0
    gap_bytes: Final = 0
    site_entry = OtlpSiteEntry

    def url(self, server_url: str, batch_id: str) -> str:
        """`/v1/logs` below the server's URL, unless that ends so. With a slash behind it receivers do not know it."""
        base = server_url.rstrip("/")
        return base if urlsplit(base).path.endswith(PATH) else base + PATH

    def headers(self, configured: Mapping[str, str]) -> Mapping[str, str]:
        """Protobuf, and nothing behind it: some receivers compare the whole text."""
        return {"Content-Type": "application/x-protobuf"}

    def common(self, entry: LogEntry) -> Common:
        """The entry without level, message and time."""
        found = variable()
        try:
            common = placed(entry, found)
        except Exception:  # noqa: BLE001 - a text holds U+0000 or a lone surrogate
            common = placed(_entry_of(_line(entry, found))[0], found)
        return Common(common, Raw(bytes(_JSON.common(entry)) + for_others(found)))

    def encode(self, entries: Sequence[Entry], max_bytes: int) -> list[Run]:
        """The entries as ResourceLogs of up to 100 records."""
        max_bytes = min(max_bytes, self.max_batch_bytes)
        found = variable()
        return _runs([_part(entry, max_bytes, found) for entry in entries], max_bytes)

    def encode_line(self, entry: Entry, max_bytes: int) -> bytes:
        """The entry as a JSON object that is short enough as OTLP too."""
        max_bytes = min(max_bytes, self.max_batch_bytes)
        found = variable()
        line = _line(entry, found)
        if len(line) * _GROWTH + _GROWTH_BYTES <= max_bytes:
            return line
        fits = max(len(line), _size(_part_of_line(line, found))) <= max_bytes
        return line if fits else _cut(line, max_bytes, found)

    def runs_of_lines(self, lines: Sequence[bytes]) -> list[Run]:
        """The lines as ResourceLogs of up to 100 records."""
        found = variable()
        return _runs([_part_of_line(line, found) for line in lines], self.max_batch_bytes)

    def is_line(self, line: bytes) -> bool:
        """Whether the line is a whole JSON object."""
        return _JSON.is_line(line)

    def join(self, runs: Iterable[Run]) -> bytes:
        """The runs, one after another."""
        return b"".join([run.encoded for run in runs])

    def split(self, body: bytes) -> list[Run]:
        """Each record alone in its ResourceLogs and ScopeLogs, with everything else that these hold."""
        return [_run([part]) for part in _parts(body)]

    def describe(self, entry: bytes) -> str:
        """Level, time and the beginning of the message; of an entry that cannot be read, its first bytes."""
        try:
            [(_, _, encoded)] = _parts(entry)
            [outer] = fields(encoded)
            found = {field.number: field for field in fields(content(outer))}
            body = {field.number: field for field in fields(content(found[5]))}
            columns = {
                "level": content(found[3]).decode(),
                "created_at": unsigned(found[1], FIXED64) / 1e9,
                "message": content(body[1]).decode(),
            }
        except Exception:  # noqa: BLE001 - the entry may come from a file that somebody has changed
            return _JSON.describe(entry)
        return _JSON.describe(encode(columns))

    def taken(self, answer: bytes) -> Taken:
        """What `partial_success` says: how many records were rejected, and why."""
        rejected, why = 0, ""
        try:
            for outer in fields(answer):
                for field in fields(content(outer)) if outer.number == 1 else ():
                    if field.number == 1:
                        rejected = unsigned(field, VARINT)
                    elif field.number == 2:
                        why = content(field).decode("utf-8", "replace")
        except ValueError:
            return Taken()
        # A number below zero is one of 64 bits with the highest one set.
        return Taken(rejected=rejected if rejected < 2**63 else 0, why=why)


# Entries to parts


def _part(entry: Entry, max_bytes: int, found: str) -> _Part:
    """The entry, cut if it is too long. `found` is the value of OTEL_RESOURCE_ATTRIBUTES."""
    try:
        if type(entry) is OtlpSiteEntry:
            resource, scope, rest = entry.common.placed
        else:
            resource, scope, rest = placed(entry, found)  # type: ignore[arg-type]  # there are no others
        encoded = record(entry.level, entry.message, entry.created_at, rest)
    except Exception:  # noqa: BLE001 - a text holds U+0000 or a lone surrogate
        resource, scope, encoded = _part_of_line(_line(entry, found), found)
    part = resource, scope, encoded
    if len(resource) + len(scope) + len(encoded) + 2 * _TAGGED > max_bytes and _size(part) > max_bytes:
        return _part_of_line(_cut(_line(entry, found), max_bytes, found), found)
    return part


def _part_of_line(line: bytes, found: str) -> _Part:
    """A line. What is no entry becomes one with the line as its message."""
    try:
        entry, told = _entry_of(line)
        resource, scope, rest = placed(entry, found if told is None else told)
        return resource, scope, record(entry.level, entry.message, entry.created_at, rest)
    except Exception as error:  # noqa: BLE001 - somebody may have changed the file that it comes from
        entry = LogEntry("ERROR", "", 0.0, "BACKEND", metadata={"unreadable": type(error).__name__})
        resource, scope, rest = placed(entry, found)
        message = clean_text(line.decode("utf-8", "replace"))
        return resource, scope, record(entry.level, message, entry.created_at, rest)


def _entry_of(line: bytes) -> tuple[LogEntry, str | None]:
    """The entry in a line, and what its process knew of itself."""
    columns = decode(line)
    told = columns.pop(RESOURCE, None)
    return LogEntry(**columns), told


def _line(entry: Entry, found: str) -> bytes:
    """The entry as a whole line, with every character replaced that receivers cannot store."""
    if not isinstance(entry, OtlpSiteEntry):
        return _JSON.encode_line(entry, sys.maxsize)[:-1] + for_others(found) + b"}"
    plain = JsonSiteEntry(entry.level, entry.message, entry.created_at, entry.common.json)
    return _JSON.encode_line(plain, sys.maxsize)


def _cut(line: bytes, max_bytes: int, found: str) -> bytes:
    """The line, cut so that it fits as JSON and as OTLP, of which one can be much longer than the other."""
    columns = decode(line)
    metadata = columns.get("metadata", {})
    # Not cut: with a part of these it would come from elsewhere.
    kept = {name: columns.pop(name) for name in _IN_RESOURCE if name in columns}
    process = {name: metadata.pop(name) for name in ("process",) if name in metadata}
    whole = encode(columns)
    best, lowest = None, 0
    room = highest = max_bytes
    for _ in range(_ATTEMPTS):
        made = decode(fit(whole, room))
        encoded = encode({**made, **kept, "metadata": {**made["metadata"], **process}})
        size = max(len(encoded), _size(_part_of_line(encoded, found)))
        if size <= max_bytes:
            best, lowest = encoded, room
            if size >= max_bytes * _ENOUGH:
                break
        else:
            highest = room
        guesses = (room + max_bytes - size, room * max_bytes // size)
        room = next((each for each in guesses if lowest < each < highest), (lowest + highest) // 2)
    if best is None:
        made = {name: columns[name] for name in ("level", "message", "created_at", "log_type")}
        made["message"] = shortened(made["message"], _LEAST)
        missing = len(columns.keys() - made.keys() - {"metadata"}) + len(metadata)
        best = encode({**made, **kept, "metadata": {**process, MORE: left_out(missing)}})
    return best


# Parts to runs and back


def _runs(parts: Iterable[_Part], max_bytes: int) -> list[Run]:
    """Runs of parts side by side that have one resource."""
    runs: list[Run] = []
    together: list[_Part] = []
    common = b""
    size = 0
    for part in parts:
        resource, scope, encoded = part
        # As if each had a ScopeLogs of its own.
        size += len(scope) + len(encoded) + _TAGGED
        if together and (size > max_bytes or len(together) == _SLICE or resource != common):
            runs.append(_run(together))
            together = []
        if not together:
            common = resource
            size = len(resource) + len(scope) + len(encoded) + 2 * _TAGGED
        together.append(part)
    if together:
        runs.append(_run(together))
    return runs


def _run(parts: list[_Part]) -> Run:
    scopes = [
        delimited(SCOPE_LOGS, scope + b"".join([encoded for _, _, encoded in side_by_side]))
        for scope, side_by_side in groupby(parts, _scope_of)
    ]
    return Run(len(parts), delimited(RESOURCE_LOGS, parts[0][0] + b"".join(scopes)))


def _size(part: _Part) -> int:
    """Bytes of a run of it alone."""
    return len(_run([part]).encoded)


def _parts(body: bytes) -> Iterator[_Part]:
    """The records of a body. Raises ValueError if it is not one."""
    for outer in fields(body):
        if outer.number != 1:
            raise ValueError(f"a body has no field {outer.number}")
        scopes, resource = _told_apart(content(outer))
        for scope_logs in scopes:
            records, scope = _told_apart(content(scope_logs))
            for each in records:
                content(each)
                yield resource, scope, each.encoded


def _told_apart(message: bytes) -> tuple[list[Field], bytes]:
    """The fields numbered 2 of a ResourceLogs or a ScopeLogs, which are what it holds, and all others, encoded."""
    held = list(fields(message))
    return [each for each in held if each.number == 2], b"".join([each.encoded for each in held if each.number != 2])
