"""The fixture that restores logging: a test turns every switch, and nothing of it outlives the test."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator

import pytest

NAME = "tests.restored_logging"


def _everything() -> list[object]:
    return [
        (logging.root.level, logging.root.handlers[:], logging.root.filters[:], logging.root.disabled),
        (logging.raiseExceptions, logging.lastResort, logging.root.manager.disable),
        (logging.getLogRecordFactory(), logging.getLoggerClass(), vars(logging)["_handlers"].get(NAME)),
        [
            (one.level, one.handlers[:], one.filters[:], one.disabled, one.propagate)
            for one in (logging.getLogger(NAME), logging.getLogger(f"{NAME}.before"))
        ],
    ]


@pytest.fixture(scope="module", autouse=True)
def nothing_outlives_the_test() -> Iterator[None]:
    """Of the module: it looks after the fixture of the test has cleaned up."""
    existing = logging.getLogger(f"{NAME}.before")
    existing.setLevel(logging.ERROR)
    before = _everything()
    yield
    assert _everything() == before
    assert existing is logging.getLogger(f"{NAME}.before")
    created = logging.getLogger(f"{NAME}.created")
    assert (created.level, created.propagate, created.disabled) == (logging.NOTSET, True, False)
    assert (created.handlers, created.filters) == ([], [])
    existing.setLevel(logging.NOTSET)


class _Record(logging.LogRecord):
    pass


class _Logger(logging.Logger):
    pass


def test_everything_is_changed() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "filters": {"some": {"name": "x"}},
            "handlers": {NAME: {"class": "logging.NullHandler"}},
            "root": {"level": "DEBUG", "handlers": [NAME], "filters": ["some"]},
            "loggers": {
                f"{NAME}.created": {
                    "level": "INFO",
                    "handlers": [NAME],
                    "filters": ["some"],
                    "propagate": False,
                }
            },
        }
    )
    logging.getLogger(f"{NAME}.created").disabled = True
    assert logging.getLogger(f"{NAME}.before").disabled
    logging.raiseExceptions, logging.lastResort = False, None
    logging.setLogRecordFactory(_Record)
    logging.setLoggerClass(_Logger)
    logging.disable(logging.CRITICAL)
