"""Which exceptions have been shipped at ERROR already: the one that an application logs, its framework logs again.

An exception is recognised as long as it lives, and nothing here keeps it alive. Builtin exceptions cannot be referred
to weakly; they are marked, which nobody sees who does not look into their `__dict__`.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from .memory import make_room

#: What tells one record from another: the name of its logger and its time.
Stamp = tuple[Any, ...]

_MARK: Final = "__logcollector_handler__"
#: Exceptions that live at the same time, of those that can be referred to weakly. Few programs keep as many.
_REMEMBERED: Final = 4096
#: By id. An entry goes when its exception does.
_known: Final[dict[int, tuple[weakref.ref[BaseException], Stamp]]] = {}


def is_repeat(error: BaseException, stamp: Stamp) -> bool:
    """Whether a record other than this one has shipped the exception; if not, this one does.

    Several handlers may be given the same record. It is a repeat for none of them.
    """
    key = id(error)
    found = _known.get(key)
    if found is not None and found[0]() is error:
        return found[1] != stamp

    def forget(reference: weakref.ref[BaseException]) -> None:
        # Another exception may have the id by now.
        found = _known.get(key)
        if found is not None and found[0] is reference:
            _known.pop(key, None)

    try:
        make_room(_known, _REMEMBERED)
        _known[key] = weakref.ref(error, forget), stamp
    except TypeError:
        return _is_marked(error, stamp)
    return False


def forgive(error: BaseException) -> None:
    """From now on take records of the exception for repeats, as if it had been shipped: it is no failure."""
    is_repeat(error, ())


def _is_marked(error: BaseException, stamp: Stamp) -> bool:
    try:
        return bool(error.__dict__.setdefault(_MARK, stamp) != stamp)
    except Exception:  # noqa: BLE001 - code of the application; the exception is shipped as if it were a new one
        return False
