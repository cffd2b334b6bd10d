"""Fields that a context gives to every record in it (`bind_context`): prepared once, when they are bound.

Done here is what follows from the fields alone: which columns they fill, and a copy of values that can change. What
also depends on a handler (its secret names and limits) is done by the handler's `FieldPlacer` at the first record that
has the fields, and kept in `Bound.ready`.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from .columns import DECLINED, FILLABLE, Placed
from .encoding import plain_fields
from .known import Stamp, numbers
from .marks import joined
from .redact import Printed, Redactor
from .text import key_text, unused

#: Immutable types, kept as they are. Values of other types are made plain at once, which copies them.
_LASTING: Final = frozenset(
    {str, int, float, bool, bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {decimal.Decimal, uuid.UUID}
)
#: Bytes of JSON that the values which are made plain in one call take at most.
_MAX_BYTES: Final = 256 * 1024

#: The value for the column that has the field's name, or UNSET; whether `metadata` has the field too; its value there.
Field = tuple[Any, bool, Any]
_NO_FIELD: Final[Field] = (UNSET, False, None)


class _Later(Redactor):
    """Masks nothing: each handler will, by its own names. It marks what each handler must look into."""

    def masked(self, text: str) -> str:
        return Printed(text)


class Bound:
    """Fields as they were when they were bound. Only `ready` changes.

    Args:
        fields: the fields, by name.
        request: the request that is served where they are bound; None outside of requests.
        noted: whether what is bound on top of these fields is noted in the request, too.
    """

    __slots__ = ("fields", "noted", "ready", "request")

    def __init__(self, fields: Mapping[str, Field], request: Request | None = None, *, noted: bool = False) -> None:
        self.fields: Mapping[str, Field] = fields
        self.request: Request | None = request
        self.noted: bool = noted
        #: What each handler made of the fields, under a key that the handler chooses.
        self.ready: dict[object, Any] = {}


class Request:
    """One request, and what is bound anywhere in it.

    A context variable alone does not tell: what a thread or a task binds that serves a part of the request, such as a
    synchronous endpoint, is not seen by the code that started it. So `bind_context` notes it here as well, and the
    record of the whole request has it. The context refers to this object, and its threads and tasks inherit it.

    Args:
        before: what is bound outside of the request.
        fields: what the middleware binds for it.
    """

    __slots__ = ("_before", "_fields", "_own", "failures", "number")

    def __init__(self, before: Bound | None, fields: Mapping[str, Any]) -> None:
        if before is not None and before.request is not None:
            # This context is a copy of that of another request, as when a server's callback was registered in one.
            before = before.request._before
        self._before: Bound | None = before
        made = bound(before, fields)
        self._own: Mapping[str, Field] = {} if made is None else made.fields
        # Many threads may change it: each does it in steps that the interpreter does not interrupt.
        self._fields = dict(self._own)
        #: By handler: what tells the record from others that was shipped at ERROR because the request failed.
        self.failures: dict[object, Stamp] = {}
        self.number: int = next(numbers)

    def bound(self) -> Bound:
        """All that has been bound in the request up to now."""
        return Bound(dict(self._fields), self, noted=True)

    def note(self, given: Mapping[str, Any], before: Bound, now: Bound | None) -> None:
        """Note what a call with these `given` fields has changed, between `before` and `now`."""
        for name, value in given.items():
            if value is None:
                self._fields.pop(key_text(name), None)
        if now is not None:
            # What was not bound by this call is the same object as before.
            for name, each in now.fields.items():
                if before.fields.get(name) is not each:
                    self._fields[name] = _together(self._fields.get(name), each) if name == "metadata" else each

    def clear(self) -> None:
        """Forget what was bound in the request, but for what the middleware bound."""
        self._fields = dict(self._own)


def bound(before: Bound | None, fields: Mapping[str, Any]) -> Bound | None:
    """These fields on top of those that are bound already. Returns None when no field is left, outside of requests.

    A field whose value is None removes the field of that name. Dicts named `metadata` are put together: their fields
    become fields of the record's `metadata`. Never raises an Exception, whatever the values are.
    """
    made = {} if before is None else dict(before.fields)
    given: dict[str, Any] = {}
    for key, value in fields.items():
        given[unused(key_text(key), given)] = value
    for name in given:
        if name != "metadata" or given[name] is None:
            made.pop(name, None)
    lasting = {name: value for name, value in given.items() if type(value) in _LASTING}
    changing = {name: value for name, value in given.items() if value is not None and name not in lasting}
    plain = plain_fields(changing, _Later(()), _MAX_BYTES) if changing else changing
    for name, value in (*lasting.items(), *plain.items()):
        if name == "metadata" and type(value) is dict and type(earlier := made.get(name, _NO_FIELD)[2]) is dict:
            value = joined(earlier, value)
        placed, kept = _placed(name, given.get(name))
        made[name] = (placed, bool(kept), value)
    if before is not None and before.request is not None:
        return Bound(made, before.request, noted=before.noted)
    return Bound(made) if made else None


def bound_for_a_time(before: Bound | None, fields: Mapping[str, Any]) -> Bound | None:
    """As `bound`. But what is bound on top of these fields does not stay, so it is not noted in the request."""
    made = bound(before, fields)
    return made if made is None or not made.noted else Bound(made.fields, made.request)


def _together(earlier: Field | None, later: Field) -> Field:
    """Two fields named `metadata`, bound in different threads or tasks."""
    placed, kept, value = later
    if earlier is not None and type(earlier[2]) is dict and type(value) is dict:
        value = joined(earlier[2], value)
    return placed, kept, value


def _placed(name: str, value: Any) -> Placed:
    column = FILLABLE.get(name)
    try:
        return DECLINED if column is None else column.rule(value)
    except Exception:  # noqa: BLE001 - the value is no number, or its own code failed
        return DECLINED
