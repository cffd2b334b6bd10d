"""Marks: what stands where a part of a value was cut off, and says how much is missing.

A value may be cut twice, in the logging call and when its entry is encoded. The second cut reads the mark of the first
one, so that the mark that remains counts all that is missing.

======  ===========================================================
text    ends in `… [120 more characters cut]`
list    its last item is `… 120 more left out`
object  its last field is `"…": "120 more left out"`
======  ===========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: The name of the field that is an object's mark.
MORE: Final = "\N{HORIZONTAL ELLIPSIS}"
#: Characters of a text's mark, at most.
MARK_CHARACTERS: Final = 40
#: Bytes of JSON that a mark takes at most, with the comma before it.
MARK_BYTES: Final = 48

_CUT: Final = re.compile(rf"{MORE} \[(\d{{1,16}}) more (characters|bytes) cut\]$")
_LEFT_OUT: Final = re.compile(rf"(?:{MORE} )?(\d{{1,16}}) more left out")


def cut(missing: int, unit: str = "characters") -> str:
    """The end of a text of which that many characters, or bytes, are missing."""
    return f"{MORE} [{missing} more {unit} cut]"


def uncut(text: str) -> tuple[str, int, str]:
    """The text without its mark, how much that says is missing, and of what; 0 characters without a mark."""
    found = _CUT.search(text[-MARK_CHARACTERS:])
    if found is None:
        return text, 0, "characters"
    return text[: len(text) - len(found[0])], int(found[1]), found[2]


def left_out(missing: int) -> str:
    """The value of the field MORE in an object of which that many fields are missing."""
    return f"{missing} more left out"


def items_left_out(missing: int) -> str:
    """The last item of a list of which that many items are missing."""
    return f"{MORE} {left_out(missing)}"


def joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of both objects, of one name the later. Their marks become one."""
    made = {**earlier, **later}
    if missing := number_left_out(earlier.get(MORE)) + number_left_out(later.get(MORE)):
        made[MORE] = left_out(missing)
    return made


def number_left_out(value: Any) -> int:
    """How many items or fields are missing, if the value is a mark that says so; else 0."""
    found = _LEFT_OUT.fullmatch(value) if type(value) is str else None
    return 0 if found is None else int(found[1])
