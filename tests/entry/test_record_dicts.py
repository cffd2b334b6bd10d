"""Records whose message is a dict, as structlog makes them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from tests.entry.making import (
    Broken,
    Catcher,
    builder,
    exc_info,
    metadata_of,
    record,
    ship,
    shipped,
)


def test_a_dict_as_message_is_taken_apart() -> None:
    made = record({"event": "paid", "user_id": 5, "amount": 3, "level": "info", 7: "x"}, extra={"e": 1, "amount": 2})
    entry = shipped(made)[0]
    assert entry["message"] == "paid"
    assert entry["user_id"] == "5"
    assert entry["metadata"].items() >= {"amount": 3, "level": "info", "7": "x", "e": 1}.items()
    assert made.msg == {"event": "paid", "user_id": 5, "amount": 3, "level": "info", 7: "x"}


def test_what_has_the_name_of_a_field_of_the_dict_is_numbered() -> None:
    given = {"event": "e", "amount": 3, "args": 4, "user_id": 5, "metadata": {"amount": 6}}
    entry = ship(given, 7, extra={"amount": 8, "user_id": 9})
    assert (entry["user_id"], entry["metadata"]["amount"], entry["metadata"]["args"]) == ("5", 3, 4)
    numbered = {name: value for name, value in entry["metadata"].items() if name.endswith((")", "user_id"))}
    assert sorted(map(str, numbered.values())) == ["6", "8", "9", "[7]"]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        *[({"message": "m", "a": 1}, "m"), ({"msg": "m", "a": 1}, "m"), ({"event": "e", "message": "m"}, "e")],
        *[({"event": 5}, "5"), ({"event": Broken()}, "<Broken, whose str raises ZeroDivisionError>")],
        *[({"a": 1}, "{'a': 1}"), ({}, "{}"), ({"password": "hunter2"}, "{'password': '***'}")],
    ],
)
def test_the_message_of_a_dict_is_its_event(event: dict[str, Any], message: str) -> None:
    assert ship(event)["message"] == message


def test_arguments_beside_a_dict_are_kept() -> None:
    assert ship({"event": "e"}, 1, 2)["metadata"]["args"] == [1, 2]


@pytest.mark.parametrize("how", [lambda error: error, exc_info, lambda _: True, lambda _: 1])
def test_exc_info_in_a_dict_is_the_exception(how: Callable[[BaseException], Any]) -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        entry = ship({"event": "e", "exc_info": how(error)})
    assert entry["error_type"] == "ValueError"
    assert "ValueError: x" in entry["stack_trace"]
    assert "exc_info" not in entry["metadata"]


def test_exc_info_in_a_dict_that_is_something_else_is_a_field() -> None:
    assert ship({"event": "e", "exc_info": "text"})["metadata"]["exc_info"] == "text"
    entry = ship({"event": "e", "exc_info": None})
    assert "exc_info" not in entry["metadata"]
    assert "stack_trace" not in entry


@pytest.mark.parametrize("style", ["wrap_for_formatter", "render_to_log_kwargs"])
def test_structlog_through_the_standard_library_arrives_as_fields(style: str) -> None:
    last: Any = (
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        if style == "wrap_for_formatter"
        else structlog.stdlib.render_to_log_kwargs
    )
    catcher = Catcher()
    target = logging.getLogger("through")
    target.addHandler(catcher)
    log = structlog.wrap_logger(
        target,
        processors=[structlog.stdlib.add_log_level, last],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind(user_id=7)
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("it failed", cart=[1, 2], password="p")
        [entry] = shipped(*catcher.records)
    assert entry["message"] == "it failed"
    assert entry["level"] == "ERROR"
    assert entry["user_id"] == "7"
    assert entry["error_type"] == "ValueError"
    assert entry["metadata"]["cart"] == [1, 2]
    assert entry["metadata"]["password"] == "***"
    assert not {"_logger", "_name", "_record", "_from_structlog", "exc_info"} & entry["metadata"].keys()


def test_a_dict_as_message_that_changes_after_the_call_ships_as_it_was() -> None:
    event: dict[str, Any] = {"event": "e", "items": [1]}
    entry = builder().build(record(event))
    event["items"].append(2)
    assert b'"items":[1]' in metadata_of(entry)


def test_names_that_structlog_uses_itself_are_usual_names_of_fields() -> None:
    names = ("_name", "_logger", "_record", "_from_structlog")
    given = {name: f"the user's {name}" for name in names}
    assert ship({"event": "e", **given})["metadata"].items() >= given.items()
    for name in names:
        assert ship({"event": "e"}, extra={name: given[name]})["metadata"][name] == given[name]
    added = {"_record": record(), "_from_structlog": True}
    entry = ship({"event": "e", **added}, extra={"_logger": structlog.get_logger(), "_name": "info"})
    assert entry["metadata"].keys().isdisjoint(names)
