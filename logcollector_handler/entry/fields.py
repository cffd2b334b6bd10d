"""Where a record's fields go: which fill a column, which go into `metadata`.

Fields come from three places. The fields of the logging call (`extra`) win over those that the context has bound, and
these over the `trace_id` and `span_id` of the current OpenTelemetry span. What a column makes of a value is decided in
`columns`, what JSON makes of it in `values`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from sys import getsizeof
from typing import Any, Final

from msgspec import UNSET, Raw

from .bound import Bound, Field
from .columns import AS_IT_IS, DECLINED, FILLABLE, Column, Placed, Rule
from .encoding import encode_fields, plain_fields
from .marks import MORE, left_out, number_left_out
from .memory import make_room
from .model import ORIGIN, LogEntry
from .named import VALUE, masked_mapping
from .opening import merged
from .redact import MASK, Redactor
from .text import add_field
from .values import INT64, simple
from .walk import SHORTEST_FIELD, encode

#: Field names whose meaning is remembered. Few programs use more.
_REMEMBERED: Final = 4096

#: Bound fields as one handler puts them into entries: names and values of columns, what goes into `metadata`, and the
#: size of these values in bytes.
_Ready = tuple[list[tuple[str, Any]], dict[str, Any], int]

#: Immutable types: safe to encode later, with the batch. So are `str` and `int` within limits, which `add` checks.
_IMMUTABLE: Final = frozenset({float, bool, type(None)})
#: A field counts as this many characters more than its text has, so that many fields without text are noticed, too.
_FIELD: Final = 16
#: Names of fields that are looked at together with the others of `metadata`: others may have the same name, or be the
#: name of a secret whose value this is.
_SHARED: Final = frozenset({*ORIGIN, "metadata", *VALUE})
#: What such a name means, and one that has no column: its value is kept in `metadata`.
_KEPT: Final = Column(lambda value: DECLINED)
#: How much of a text is looked at for secrets before it is put into a column, in characters. It may be very long.
_LOOKED_AT: Final = 4 * 1024
#: What a field takes beside its value, in bytes.
_FIELD_BYTES: Final = 96


class _Meanings(dict[str, "Column | bool"]):
    """What a field's name means: the column that it fills, True for a secret, False for neither.

    Worked out when a name is first looked up, and remembered.
    """

    def __init__(self, secret: Redactor) -> None:
        super().__init__()
        self._secret = secret

    def __missing__(self, name: str) -> Column | bool:
        if type(name) is not str:
            raise TypeError("the name of a field is not exact text")
        # A secret name is masked even when a column has that name.
        meaning = _KEPT if name in _SHARED else self._secret(name) or FILLABLE.get(name, False)
        if self._secret.is_address(name):
            meaning = Column(_address_rule(self._secret, FILLABLE.get(name, _KEPT).rule))
        make_room(self, _REMEMBERED)
        self[name] = meaning
        return meaning


def _address_rule(secret: Redactor, column: Rule) -> Rule:
    """The rule of a column that can hold a URL: parameters in it that are secrets are masked."""

    def rule(value: Any) -> Placed:
        if issubclass(type(value), str):
            text = value if type(value) is str else simple(value)
            # Masked before the column cuts it: the beginning of a password does not look like one.
            shown = secret.masked(text[:_LOOKED_AT])
            placed, kept = column(shown)
            if len(text) > _LOOKED_AT:
                return placed, True
            return placed, kept and (AS_IT_IS if shown == value and text is value else True)
        placed, kept = column(value)
        if type(placed) is str:
            # The mask can be longer than what it stands for, so the column has to judge the length once more.
            placed, cut = column(secret.masked(placed))
            kept = kept or cut
        return placed, kept

    return rule


class FieldPlacer:
    """Puts fields into entries, for one handler.

    Args:
        secret: whether the value under a name must be masked.
        max_bytes: longest that a text may be, in characters; longer text is cut.
        usual_length: fields with more characters in all are weighed, and room is reserved for them.
    """

    def __init__(self, secret: Redactor, max_bytes: int, usual_length: int) -> None:
        self._secret = secret
        self._max_bytes = max_bytes
        # Fields with a text that must be cut have to be noticed.
        self._usual_length = min(usual_length, max_bytes)
        self._meanings = _Meanings(secret)

    def add(
        self,
        entry: LogEntry,
        origin: dict[str, Any],
        fields: dict[str, Any],
        names: Collection[str],
        reserve: Callable[[int], None],
        bound: Mapping[str, Any] | None = None,
        *,
        now: bool = False,
    ) -> None:
        """Put the user's fields of those names into their columns, and those without a column into `metadata`.

        `origin` is what `metadata` holds already. `bound` are fields for `metadata` of which some have the name of a
        user's field, or None. `now`: `metadata` must be encoded now, also if no value in it can change and JSON can
        hold all of them. `reserve` is called with the size of the fields in bytes if that is more than usual. Raises
        TypeError for a name that is not exact text.
        """
        made = {**origin}
        length = _FIELD * len(names)
        meanings = self._meanings
        for name in names:
            value = fields[name]
            meaning = meanings[name]
            kind = type(value)
            if meaning is False:
                made[name] = value
                if kind is str:
                    length += len(value)
                elif kind not in _IMMUTABLE and (kind is not int or value not in INT64):
                    now = True
            elif meaning is True:
                made[name] = MASK
            elif kind is str and (size := len(value)) <= meaning.width:
                setattr(entry, name, value)
                length += size
            else:
                try:
                    placed, kept = meaning.rule(value)
                except Exception:  # noqa: BLE001 - the value is no number, or its own code failed
                    placed, kept = DECLINED
                if placed is not UNSET:
                    setattr(entry, name, placed)
                    length += len(placed) if type(placed) is str else 0
                if kept:
                    made[name] = value
                    if kept is AS_IT_IS:
                        length += len(value)
                    else:
                        now = True
        if now or length > self._usual_length:
            self._complete(entry, made, origin, names, reserve, bound, now=now)
        else:
            entry.metadata = made

    def _complete(
        self,
        entry: LogEntry,
        made: dict[str, Any],
        origin: dict[str, Any],
        names: Collection[str],
        reserve: Callable[[int], None],
        bound: Mapping[str, Any] | None,
        *,
        now: bool,
    ) -> None:
        """Finish an entry whose `metadata` must be encoded now, or whose fields are large: reserve room for these."""
        size = sum([getsizeof(getattr(entry, name)) for name in names if name in FILLABLE])
        if now or any(type(value) is str and len(value) > self._max_bytes for value in made.values()):
            together = (
                made if bound is None and _SHARED.isdisjoint(names) else self._together(made, origin, names, bound)
            )
            entry.metadata = encoded = Raw(encode_fields(together, self._secret, self._max_bytes))
            size += len(encoded)
        else:
            entry.metadata = made
            size += sum([getsizeof(made[name]) + _FIELD_BYTES for name in names if name in made])
        if size > self._usual_length:
            reserve(size)

    def _together(
        self, made: dict[str, Any], origin: dict[str, Any], names: Iterable[str], bound: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """All fields of `metadata`. Where some have one name, each that comes later gets a number.

        In this order: what every record has, the user's fields, those inside of the user's field `metadata` if it is a
        dict, and those that are bound.
        """
        together = {**origin}
        most = self._max_bytes // SHORTEST_FIELD + 1
        inner: list[tuple[str, Any]] = []
        for name in names:
            if name not in made:
                continue
            if self._secret(name):
                add_field(together, name, MASK)
            elif name == "metadata" and (found := merged(made[name], most)) is not None:
                inner = found
            else:
                add_field(together, name, made[name])
        missing = 0
        for name, value in (*inner, *(bound or {}).items()):
            if name == MORE and (number := number_left_out(value)):
                # Both can have a mark, and only one of that name is read when more has to be cut.
                missing += number
            else:
                add_field(together, name, MASK if self._secret(name) else value)
        if missing:
            add_field(together, MORE, left_out(missing))
        return dict(masked_mapping([*together.items()], self._secret))

    def fill(
        self,
        entry: LogEntry,
        origin: dict[str, Any],
        user: dict[str, Any],
        bound: Bound | None,
        span: dict[str, str] | None,
        reserve: Callable[[int], None],
    ) -> None:
        """Put in the fields of the user, of the context and of the span. `reserve` is as for `add`."""
        if span is not None:
            user = {**_of_span(span, {} if bound is None else bound.fields, user), **user}
        clashing: Mapping[str, Any] | None = None
        if bound is not None:
            columns, rest, size = self._ready(bound, user)
            for name, value in columns:
                setattr(entry, name, value)
            if size > self._usual_length:
                reserve(size)
            if not user:
                if rest:
                    entry.metadata = {**origin, **rest}
                return
            if "metadata" in user or not rest.keys().isdisjoint(user):
                clashing = rest
            elif rest:
                entry.metadata = origin = {**origin, **rest}
        if user:
            self.add(entry, origin, user, user, reserve, clashing, now=clashing is not None)

    def _ready(self, bound: Bound, user: dict[str, Any]) -> _Ready:
        """The bound fields, without those whose names the call uses itself."""
        if not bound.fields.keys().isdisjoint(user):
            left = {name: each for name, each in bound.fields.items() if name not in user or name == "metadata"}
            return self._prepared(left)
        ready: _Ready | None = bound.ready.get(self._secret)
        if ready is None:
            ready = bound.ready[self._secret] = self._prepared(bound.fields)
        return ready

    def _prepared(self, fields: Mapping[str, Field]) -> _Ready:
        columns = []
        rest: dict[str, Any] = dict.fromkeys(ORIGIN)
        for name, (placed, kept, value) in fields.items():
            # A secret name is masked even when a column has that name.
            secret = self._secret(name)
            if placed is not UNSET and not secret:
                if self._secret.is_address(name):
                    placed, _ = _address_rule(self._secret, FILLABLE[name].rule)(value if kept else placed)
                columns.append((name, placed))
            if kept or secret:
                add_field(rest, name, MASK if secret else value)
        if type(inner := rest.get("metadata")) is dict:
            del rest["metadata"]
            for name, value in inner.items():
                add_field(rest, name, MASK if self._secret(name) else value)
        for name in ORIGIN:
            del rest[name]
        made = plain_fields(dict(masked_mapping([*rest.items()], self._secret)), self._secret, self._max_bytes)
        size = sum([getsizeof(value) for _, value in columns]) + (len(encode(made)) if made else 0)
        return columns, made, size


def _of_span(span: dict[str, str], bound: Mapping[str, Field], user: dict[str, Any]) -> dict[str, str]:
    """The span's ids that are not bound; none of them if a field names another trace, which has other spans."""
    named = [bound["trace_id"][0]] if "trace_id" in bound else []
    named += [user["trace_id"]] if "trace_id" in user else []
    if any(type(each) is not str or each != span["trace_id"] for each in named):
        return {}
    return {name: value for name, value in span.items() if name not in bound}
