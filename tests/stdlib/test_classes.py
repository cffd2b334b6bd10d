"""Records and messages of classes that an application makes: what the logging cookbook shows, and stranger ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.entry.making import exc_info, raised

log = logging.getLogger(__name__)


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    with capturing(__name__) as made:
        yield made


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


class Tagged(logging.LogRecord):
    """A record as applications make them: slots, properties, and a message of its own."""

    __slots__ = ("in_a_slot",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.in_a_slot = "s"
        super().__init__(*args, **kwargs)
        self.host = "h"

    @property
    def computed(self) -> str:
        return "c"

    @property
    def failing(self) -> str:
        raise ZeroDivisionError

    def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
        return f"<{super().getMessage()}>"


class Braced(logging.LogRecord):
    """ "Use of alternative formatting styles": arguments are put in with `str.format`."""

    def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
        return str(self.msg).format(*(self.args or ()))


class Hidden(logging.LogRecord):
    """A record whose message is a property."""

    @property
    def msg(self) -> str:
        return f"hidden {self.__dict__['kept']}"

    @msg.setter
    def msg(self, value: Any) -> None:
        self.__dict__["kept"] = value


@pytest.mark.parametrize(
    ("made_by", "given", "message", "more"),
    [
        (Tagged, ("m %d", 1), "<m 1>", {"host": "h"}),
        (Tagged, ("m %d", "x"), "m %d", {"host": "h"}),
        (Braced, ("m {} {}", 1, "two"), "m 1 two", {}),
        (Braced, ("m {} {}", 1), "m {} {}", {}),
        (Hidden, ("m",), "hidden m", {"kept": "m"}),
    ],
)
def test_records_of_classes_of_the_application_arrive(
    made_by: Any, given: tuple[Any, ...], message: str, more: dict[str, Any], handler: CapturingHandler
) -> None:
    logging.setLogRecordFactory(made_by)
    for info in (None, exc_info(raised(ValueError("why")))):
        # Not through the logger: pytest's own handlers do not take what cannot be printed.
        handler.handle(log.makeRecord(__name__, 20, __file__, 1, given[0], given[1:], info, "f", {"user_id": 7}))
    for entry in handler.entries:
        assert (entry["message"], entry["user_id"]) == (message, "7")
        assert {**fields(entry), **more} == fields(entry)
    assert handler.entries[1]["error_type"] == "ValueError"


def test_a_factory_adds_fields(handler: CapturingHandler) -> None:
    # "Customizing LogRecord"
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = before(*args, **kwargs)
        made.__dict__["custom_attribute"] = 0xDECAFBAD
        return made

    logging.setLogRecordFactory(factory)
    log.info("m")
    assert fields(only(handler)) == {"custom_attribute": 0xDECAFBAD}


# Messages of other classes


class BraceMessage:
    def __init__(self, template: str, *args: Any, **kwargs: Any) -> None:
        self.given = template, args, kwargs

    def __str__(self) -> str:
        template, args, kwargs = self.given
        return template.format(*args, **kwargs)


class StructuredMessage:
    """ "Implementing structured logging"."""

    def __init__(self, message: str, /, **kwargs: Any) -> None:
        self.given = message, kwargs

    def __str__(self) -> str:
        return f"{self.given[0]} >>> {json.dumps(self.given[1])}"


class StyleAdapter(logging.LoggerAdapter):  # type: ignore[type-arg]  # no subscript on 3.10
    """ "Use of alternative formatting styles"."""

    def log(self, level: int, msg: Any, *args: Any, stacklevel: int = 1, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            said, more = self.process(msg, kwargs)
            self.logger.log(level, BraceMessage(str(said), *args), **more, stacklevel=stacklevel + 1)


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        (lambda: log.info(BraceMessage("m {0} {name}", 1, name="two")), "m 1 two"),
        (lambda: log.info(StructuredMessage("m", foo="bar")), 'm >>> {"foo": "bar"}'),
        (lambda: StyleAdapter(log, {}).info("m {} {}", 1, "two"), "m 1 two"),
        (lambda: log.info("m %(a)s %(b)s", {"a": 1, "b": "two"}), "m 1 two"),
        (lambda: log.info("100 %"), "100 %"),
    ],
)
def test_messages_of_every_style_arrive(deed: Callable[[], None], message: str, handler: CapturingHandler) -> None:
    deed()
    assert only(handler)["message"] == message
    assert only(handler)["file_path"] == __file__
