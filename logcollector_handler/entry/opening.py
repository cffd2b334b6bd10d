"""Objects with fields, opened: a mapping of their fields, a wrapper's plain value, or the object itself.

A field that its class keeps out of its `repr` (`repr=False` in dataclasses, attrs and pydantic) is masked, whatever its
name: that is how people say that it holds a secret. An attrs field that is printed by a function shows what that
makes of it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final

from .marks import MORE, items_left_out, left_out
from .redact import MASK
from .requests import opened_request
from .text import key_text

#: Levels of models in models in which fields that must not be shown are looked for.
_MAX_DEPTH: Final = 20


def opened(value: Any, most: int) -> Any:
    """An object with fields as a mapping of them, a wrapper as the plain value inside it, anything else as it is.

    At most about `most` values are read of an array. Raises what the value's own code raises.
    """
    kind = type(value)
    if kind is not dict and kind is not list and (request := opened_request(value)) is not None:
        return request
    if (hasattr(kind, "lists") or hasattr(kind, "multi_items")) and len(value) <= most:
        return _multiple(value)
    if isinstance(value, (Mapping, list, set, frozenset, deque, type)):  # not tuples: named ones have fields
        return value
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
        return dict(zip(names, value, strict=False)) if isinstance(names, tuple) else value
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if hasattr(kind, "__structlog__"):  # What structlog's JSONRenderer calls.
        return value.__structlog__()
    if dataclasses.is_dataclass(value) or hasattr(kind, "__attrs_attrs__") or hasattr(kind, "__struct_fields__"):
        return {name: _shown(getattr(value, name), show) for name, show in _fields(kind) if hasattr(value, name)}
    if hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        return _masked(value, value.model_dump(), 0)
    if hasattr(kind, "get_all") and hasattr(kind, "items"):
        # Headers, as those of wsgiref, werkzeug and http.client: they can have a name twice.
        return list(value.items())
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        return value.tolist() if getattr(value, "size", 0) <= most else _beginning(value, most)
    return value


def _multiple(value: Any) -> dict[Any, Any]:
    """A query, a form or headers, in which a name can have several values; these become a list.

    Their `items` give one value of each name. Django and werkzeug have `lists`, starlette and httpx `multi_items`.
    """
    made: dict[Any, list[Any]] = {}
    if hasattr(value, "lists"):
        made = dict(value.lists())
    else:
        for name, each in value.multi_items():
            made.setdefault(name, []).append(each)
    return {name: values[0] if len(values) == 1 else values for name, values in made.items()}


def merged(value: Any, most: int) -> list[tuple[str, Any]] | None:
    """The fields in a user's field `metadata`, which become fields of `metadata` itself; None if it is no dict.

    Of more than about `most` the others are left out, with a mark. None also for a dict that cannot be read.
    """
    # By type: `isinstance` may call a property `__class__`, which is code of the application.
    if not issubclass(type(value), dict):
        return None
    try:
        fields = [(key_text(key), each) for key, each in islice(value.items(), most)]
        missing = len(value) - len(fields)
    except Exception:  # noqa: BLE001 - code of the application
        return None
    return [*fields, (MORE, left_out(missing))] if missing > 0 else fields


def _beginning(array: Any, most: int) -> list[Any]:
    """The first rows of a large array, which are opened in their turn if they are arrays, and a mark."""
    rows = array[:most]
    missing = len(array) - len(rows)
    return [*(rows.tolist() if array.ndim == 1 else rows), *([items_left_out(missing)] if missing else [])]


#: How a class prints a field: True as it is, False not at all, or what the function makes of it.
_Show = bool | Callable[[Any], str]


def _fields(kind: Any) -> Iterable[tuple[str, _Show]]:
    """The names of the fields of a dataclass, an attrs class or a Struct, each with how it is printed."""
    if dataclasses.is_dataclass(kind):
        return [(each.name, each.repr) for each in dataclasses.fields(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return [(each.name, each.repr) for each in kind.__attrs_attrs__]
    return [(name, True) for name in kind.__struct_fields__]


def _shown(value: Any, show: _Show) -> Any:
    if callable(show):
        return show(value)
    return value if show else MASK


# pydantic


def _masked(model: Any, dumped: Any, depth: int) -> Any:
    """What `model_dump` made of a model, or of what is in one, with hidden fields masked.

    The dump is what is shipped, because the serializers of a model may hide more; the model is read beside it, because
    the dump does not say which fields are hidden.
    """
    if depth > _MAX_DEPTH:
        return dumped
    kind: Any = type(model)
    if hasattr(kind, "model_fields") and hasattr(model, "root") and not isinstance(dumped, dict):
        return _masked(model.root, dumped, depth + 1)
    if isinstance(dumped, list | tuple) and isinstance(model, list | tuple):
        items = [_masked(*both, depth + 1) for both in zip(model, dumped, strict=False)]
        return dumped if all(map(operator.is_, items, dumped)) else items
    if not isinstance(dumped, dict):
        return dumped
    if isinstance(model, dict):
        return {key: _masked(model.get(key), each, depth + 1) for key, each in dumped.items()}
    shown = {alias: (name, show) for name, alias, show in _dumped_fields(kind)}
    made = {}
    for key, each in dumped.items():
        # A key that is no field's is that of an extra attribute.
        name, show = shown.get(key, (key, True))
        made[key] = _masked(getattr(model, name, None), each, depth + 1) if show else MASK
    return made


def _dumped_fields(kind: Any) -> Iterable[tuple[str, str, bool]]:
    """The fields of a model, or of a dataclass in one: name, key in the dump, and whether they are printed."""
    if dataclasses.is_dataclass(kind):
        return [(each.name, each.name, each.repr) for each in dataclasses.fields(kind)]
    fields = [(name, each.serialization_alias, each.repr) for name, each in getattr(kind, "model_fields", {}).items()]
    fields += [(name, each.alias, each.repr) for name, each in getattr(kind, "model_computed_fields", {}).items()]
    return [(name, key, show) for name, alias, show in fields for key in (name, alias) if key]
