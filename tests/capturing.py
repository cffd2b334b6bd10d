"""A handler that keeps the entries of a logger for a test, encoded as they would be sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from logcollector_handler.testing import CapturingHandler
from tests.entry.making import ORIGIN, accepted, parsed


@contextmanager
def capturing(name: str | None = None, **settings: Any) -> Iterator[CapturingHandler]:
    """A handler on a logger, by default the root logger, that lets every level pass.

    Fails after the block if the server would refuse anything that was captured.
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
    """The `metadata` of an entry, without the fields that every record has."""
    return {name: value for name, value in entry["metadata"].items() if name not in ORIGIN}
