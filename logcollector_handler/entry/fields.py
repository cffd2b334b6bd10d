"""A record's fields: what goes into which column, and what into `metadata`, wherever the fields come from.

A field of the call wins over what is bound where the caller is, and that over what the current span says. What a
column takes is in `columns`, what JSON makes of a value in `values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import UNSET, Raw

from .bound import Bound, Field
from .columns import COLUMNS, DECLINED, Column
from .model import LogEntry
from .redact import MASK, Redactor
from .values import INT64, Cleaner, encode_fields

#: Field names that are remembered. A program has fewer; one that makes them up starts over.
_REMEMBERED: Final = 4096

#: Bound fields as one builder puts them into entries: values of columns, and what goes into `metadata`, plain.
_Ready = tuple[list[tuple[str, Any]], dict[str, Any]]

#: What can be encoded with the batch as well as now, beside text and usual numbers.
_FIXED: Final = frozenset({float, bool, type(None)})


class _Meanings(dict[str, "Column | bool"]):
    """What the name of a field means: its column, or whether it is that of a secret. Learned name by name."""

    def __init__(self, secret: Redactor) -> None:
        super().__init__()
        self._secret = secret

    def __missing__(self, name: str) -> Column | bool:
        if type(name) is not str:
            raise TypeError("the name of a field is no text")
        # A secret stays one if it has the name of a column.
        meaning = self._secret(name) or COLUMNS.get(name, False)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[name] = meaning
        return meaning


class FieldPlacer:
    """Puts fields into entries, for one handler.

    Args:
        secret: answers whether a name is that of a secret.
        max_bytes: longer text is cut.
    """

    def __init__(self, secret: Redactor, max_bytes: int) -> None:
        self._secret = secret
        self._max_bytes = max_bytes
        self._meanings = _Meanings(secret)

    def add(self, entry: LogEntry, origin: dict[str, Any], fields: dict[str, Any], names: Iterable[str]) -> None:
        """Put the user's fields of those names into their columns, the others into `metadata`, over the origin."""
        made = {**origin}
        # What can change under way, or may not be encoded as it is, is encoded now.
        now = False
        longest = self._max_bytes
        meanings = self._meanings
        for name in names:
            value = fields[name]
            meaning = meanings[name]
            kind = type(value)
            if meaning is False:
                made[name] = value
                if kind is str:
                    if len(value) > longest:
                        now = True
                elif kind not in _FIXED and (kind is not int or value not in INT64):
                    now = True
            elif meaning is True:
                made[name] = MASK
            elif kind is str and len(value) <= meaning.width:
                setattr(entry, name, value)
            else:
                try:
                    placed, kept = meaning.rule(value)
                except Exception:  # noqa: BLE001 - no number, or code of the application
                    placed, kept = DECLINED
                if placed is not UNSET:
                    setattr(entry, name, placed)
                if kept:
                    made[name] = value
                    now = True
        entry.metadata = self._encoded(made, origin, names) if now else made

    def _encoded(self, made: dict[str, Any], origin: dict[str, Any], names: Iterable[str]) -> Raw:
        """`metadata`, with a user's field of that name taken apart."""
        # By type: `isinstance` asks an object for its class, and that is code of the application.
        if issubclass(type(made.get("metadata")), dict):
            inner = Cleaner(self._secret, self._max_bytes).value(made["metadata"])
            if isinstance(inner, dict):
                del made["metadata"]
                made = {**origin, **inner, **{name: made[name] for name in names if name in made}}
        return Raw(encode_fields(made, self._secret, self._max_bytes))

    def fill(
        self,
        entry: LogEntry,
        origin: dict[str, Any],
        user: dict[str, Any],
        bound: Bound | None,
        span: dict[str, str] | None,
    ) -> None:
        """Put in fields from wherever they come, the user's over what is bound and that over the span's."""
        fields: Mapping[str, Field] = {} if bound is None else bound.fields
        if span is not None:
            user = {**_of_span(span, fields, user), **user}
        if bound is not None:
            columns, rest = self._ready(bound, user)
            for name, value in columns:
                setattr(entry, name, value)
            if rest:
                entry.metadata = origin = {**origin, **rest}
        if user:
            self.add(entry, origin, user, user)

    def _ready(self, bound: Bound, user: dict[str, Any]) -> _Ready:
        """What is bound under names that the call does not use."""
        if not bound.fields.keys().isdisjoint(user):
            return self._prepared({name: each for name, each in bound.fields.items() if name not in user})
        ready: _Ready | None = bound.ready.get(self._secret)
        if ready is None:
            ready = bound.ready[self._secret] = self._prepared(bound.fields)
        return ready

    def _prepared(self, fields: Mapping[str, Field]) -> _Ready:
        columns = []
        rest = {}
        for name, (placed, kept, value) in fields.items():
            # A secret stays one if it has the name of a column.
            secret = self._secret(name)
            if placed is not UNSET and not secret:
                columns.append((name, placed))
            if kept or secret:
                rest[name] = value
        return columns, Cleaner(self._secret, self._max_bytes).mapping(rest, 0)


def _of_span(span: dict[str, str], bound: Mapping[str, Field], user: dict[str, Any]) -> dict[str, str]:
    """What a span says, unless the fields say it or name another trace, to which its `span_id` does not belong."""
    named = [bound["trace_id"][0]] if "trace_id" in bound else []
    named += [user["trace_id"]] if "trace_id" in user else []
    if any(type(each) is not str or each != span["trace_id"] for each in named):
        return {}
    return {name: value for name, value in span.items() if name not in bound}
