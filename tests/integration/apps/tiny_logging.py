"""Logging of the tiny application, also as a configuration of gunicorn: `-c python:tiny_logging`.

Every record goes to the collector and, by a handler of the standard library, into the file that LOGGED names: one line
a record, its message as JSON. That file says what should arrive.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any


class OneLine(logging.Formatter):
    """A line a record, whatever its message, and without a stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(record.getMessage())


logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": OneLine}},
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": os.environ["LOGGED"], "formatter": "line"},
        "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
    },
    # gunicorn would give it a handler of its own, which these do not have.
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": []}, "gunicorn.access": {"handlers": []}},
    "root": {"level": "INFO", "handlers": ["file", "collector"]},
}
