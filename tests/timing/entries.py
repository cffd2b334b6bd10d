"""The entry that a timer has logged, for the tests to look at."""

from __future__ import annotations

from typing import Any

from logcollector_handler.testing import CapturingHandler


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry
