"""The logger that the tests of bound fields log to, and the entries of what they logged."""

from __future__ import annotations

import logging
from typing import Any

from logcollector_handler.testing import CapturingHandler

log = logging.getLogger("shop.context")


def last(handler: CapturingHandler) -> dict[str, Any]:
    return handler.entries[-1]


def logged(handler: CapturingHandler, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    log.info("hello", extra=extra)
    return last(handler)
