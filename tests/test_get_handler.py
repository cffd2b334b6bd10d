"""get_handler finds what dictConfig made, and says plainly what there is otherwise."""

from __future__ import annotations

import gc
import logging
import logging.config
from collections.abc import Iterator

import pytest

from logcollector_handler import LogCollectorHandler, get_handler

made: list[LogCollectorHandler] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    logging._handlers.clear()  # type: ignore[attr-defined]  # by name
    yield
    for handler in made:
        handler.close()
    made.clear()


def configure(*names: str) -> None:
    handlers: dict[str, object] = {name: {"class": "logcollector_handler.LogCollectorHandler"} for name in names}
    handlers["console"] = {"class": "logging.StreamHandler"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": handlers,
            "root": {"handlers": list(handlers)},
        }
    )
    made.extend(each for each in logging.getLogger().handlers if isinstance(each, LogCollectorHandler))


def test_the_only_one_needs_no_name() -> None:
    configure("collector")
    assert get_handler() is get_handler("collector") is made[0]


def test_of_several_each_is_found_by_its_name() -> None:
    configure("collector", "audit")
    assert [get_handler("collector"), get_handler("audit")] == made
    with pytest.raises(LookupError, match="not clear without a name: there is 'audit', 'collector'"):
        get_handler()


def test_a_name_that_there_is_not_is_said_with_those_that_there_are() -> None:
    configure("collector")
    with pytest.raises(LookupError, match="no LogCollectorHandler has the name 'console': there is 'collector'"):
        get_handler("console")


def test_when_there_is_none_that_is_said() -> None:
    configure()
    with pytest.raises(LookupError, match="no LogCollectorHandler: dictConfig has made none"):
        get_handler()
    with pytest.raises(LookupError, match="has the name 'collector': dictConfig has made none"):
        get_handler("collector")


def test_after_another_configuration_it_is_the_new_one() -> None:
    configure("collector")
    configure("collector")
    assert get_handler() is made[-1]
    assert made[0] is not made[1]
    gc.collect()
    assert get_handler("collector") is made[1]


def test_one_that_was_made_by_hand_is_none_of_them() -> None:
    by_hand = LogCollectorHandler()
    made.append(by_hand)
    with pytest.raises(LookupError):
        get_handler()
