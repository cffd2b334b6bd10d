"""What JSON makes of a value of each type.

===========================================  =====================================================
value                                        JSON
===========================================  =====================================================
str                                          text; U+0000 and lone surrogates become U+FFFD
bool, None, float, int up to 64 bits         the same; NaN and infinities become null
longer int                                   text
dict, any Mapping                            object; keys as text; several values of a name as an array
list, tuple, set, frozenset, deque           array
bytes, bytearray, memoryview                 text, as UTF-8; other bytes as `\\xff`
datetime, date, time                         ISO 8601
timedelta, Decimal, UUID, Path               their text
Enum                                         its value
dataclass, attrs, Struct, named tuple        object of its fields, see `opening`
pydantic model                               what `model_dump()` gives, see `opening`
numpy scalar, numpy array                    its Python value
exception                                    `Type: message`
request of a web framework                   its method and path, see `requests`
anything else                                its `repr`; its type if that fails
===========================================  =====================================================

An object with fields that cannot be read is named by its type only, because its `repr` could show a secret. Keys and
long text are dealt with in `text`, what is inside of containers in `walk`.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import os
import uuid
from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from typing import Any, Final

from .redact import Hidden
from .text import safe_text

#: Types that JSON knows and that need no look at the value.
SCALARS: Final = frozenset({str, bool, float, type(None)})
#: Whole numbers of up to 64 bits, with or without a sign. Longer ones become text: few JSON readers take them.
INT64: Final = range(-(2**63), 2**64)
#: What is walked through: objects and arrays. The usual ones need no conversion.
FIELDS: Final = (Mapping, ItemsView)
ITEMS: Final = (list, tuple, set, frozenset, deque, KeysView, ValuesView)
CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset, deque})
BYTES: Final = (bytes, bytearray, memoryview)
#: Types whose `str` says all that there is.
_SAID: Final = (datetime.timedelta, decimal.Decimal, uuid.UUID)
_TIMES: Final = (datetime.date, datetime.time)
_NUMBERS: Final = (int, float)


def simple(value: Any) -> Any:
    """A value that holds no others as text or number, an Enum as its value; anything else as it is.

    Raises what the value's own code raises.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value.shown if isinstance(value, Hidden) else value)
    if isinstance(value, _NUMBERS):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, _TIMES):
        return str.__str__(value.isoformat())
    if isinstance(value, _SAID):
        return str.__str__(str(value))
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {safe_text(value, str)}"
    return value
