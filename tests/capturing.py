"""A logger whose entries a test looks at: on its way to the server, up to the network."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from logcollector_handler.testing import CapturingHandler
from tests.entry.making import accepted, parsed


@contextmanager
def capturing(name: str | None = None, **settings: Any) -> Iterator[CapturingHandler]:
    """A handler on a logger (the root logger without a name), which lets everything pass.

    Behind the block what was captured has to be what the server takes.
    """
    handler = CapturingHandler(**settings)
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(1)
    logger.addHandler(handler)
    try:
        yield handler
        accepted(handler._lines)
        assert [parsed(line) for line in handler._lines] == handler.entries
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()


def fields(entry: dict[str, Any]) -> dict[str, Any]:
    """What of `metadata` is not on every record."""
    return {name: value for name, value in entry["metadata"].items() if name not in _ORIGIN}


_ORIGIN = {"logger", "line", "process", "thread"}
