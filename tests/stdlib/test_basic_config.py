"""`logging.basicConfig(handlers=[handler])`: nobody asked for its default format, but for one that is given."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from logcollector_handler.testing import CapturingHandler

FORMATS = {"%": "%(name)s says %(message)s", "{": "{name} says {message}", "$": "${name} says ${message}"}


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    made = CapturingHandler()
    yield made
    made.close()


def basic_config(**given: Any) -> None:
    """`basicConfig` in a program that has just started: the root logger has no handlers, not even pytest's."""
    logging.getLogger().handlers.clear()
    logging.basicConfig(level="INFO", **given)


def message(handler: CapturingHandler) -> Any:
    logging.getLogger("hello").info("it %s", "works")
    (entry,) = handler.entries
    return entry["message"]


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("more", [{}, {"datefmt": "%H:%M"}, {"force": True}])
def test_the_default_format_is_none(style: Any, more: dict[str, Any], handler: CapturingHandler) -> None:
    other = logging.StreamHandler(sys.stdout)
    basic_config(handlers=[handler, other], style=style, **more)
    assert message(handler) == "it works"
    assert handler.formatter is None
    assert other.formatter is not None


@pytest.mark.parametrize("style", FORMATS)
def test_a_format_that_is_given_makes_the_message(style: Any, handler: CapturingHandler) -> None:
    basic_config(handlers=[handler], style=style, format=FORMATS[style])
    assert message(handler) == "hello says it works"


def test_a_formatter_of_the_handler_stays(handler: CapturingHandler) -> None:
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    basic_config(handlers=[handler])
    assert message(handler) == "<it works>"


def test_a_formatter_that_prints_more_by_itself_is_kept(handler: CapturingHandler) -> None:
    class Mine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"mine: {record.getMessage()}"

    handler.setFormatter(Mine(logging.BASIC_FORMAT))
    basic_config(handlers=[handler])
    assert message(handler) == "mine: it works"


def test_force_replaces_the_handler_and_a_formatter_can_be_taken_away(handler: CapturingHandler) -> None:
    first = CapturingHandler()
    basic_config(handlers=[first])
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    handler.setFormatter(None)
    logging.basicConfig(handlers=[handler], force=True)
    assert message(handler) == "it works"
    assert first.entries == []
