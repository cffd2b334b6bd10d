"""The name of the asyncio task in which a record was logged: shipped if somebody gave the task one."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import pytest

from logcollector_handler import log_context
from tests.capturing import capturing, fields
from tests.entry.making import exc_info, raised, record, ship

log = logging.getLogger(__name__)

has_names = pytest.mark.skipif(sys.version_info < (3, 12), reason="records name no task before 3.12")


def entries_of(name: str | None, **extra: Any) -> list[dict[str, Any]]:
    """The entries of a task of that name: of a message, of one with a bound field, and of an exception."""

    async def work() -> None:
        log.info("plain", extra=extra)
        with log_context(region="eu"):
            log.info("bound")
        with log_context(user_id=7):
            log.info("bound to a column")
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed")

    async def main() -> None:
        await asyncio.create_task(work(), name=name)

    with capturing(__name__) as handler:
        asyncio.run(main())
        return handler.entries


@has_names
def test_a_task_with_a_name_is_named() -> None:
    plain, bound, bound_to_column, failed = entries_of("import-5")
    assert fields(plain) == fields(bound_to_column) == fields(failed) == {"asyncio_task": "import-5"}
    assert fields(bound) == {"asyncio_task": "import-5", "region": "eu"}
    assert bound_to_column["user_id"] == "7"


@has_names
def test_a_task_with_a_name_keeps_the_fields_of_the_call() -> None:
    plain, *_ = entries_of("import-5", amount=5, items=["a"], user_id=7)
    assert fields(plain) == {"asyncio_task": "import-5", "amount": 5, "items": ["a"]}
    assert plain["user_id"] == "7"


def test_a_task_that_asyncio_numbered_is_not_named() -> None:
    assert [fields(entry) for entry in entries_of(None)] == [{}, {"region": "eu"}, {}, {}]


def test_a_record_outside_of_any_task_names_none() -> None:
    with capturing(__name__) as handler:
        log.info("m")
        assert fields(handler.entries[0]) == {}


@has_names
@pytest.mark.parametrize("also", [{}, {"exc_info": exc_info(raised(ValueError()))}], ids=["plain", "with an exception"])
def test_a_name_of_any_form_can_be_stored(also: dict[str, Any]) -> None:
    for name in ("Task-", "Task-a", "Task-5b", "5", "\0\ud800"):
        assert ship(taskName=name, **also)["metadata"]["asyncio_task"] == name.replace("\0\ud800", "\ufffd\ufffd")
    for none in (None, "", "Task-5", "a.B.__call__.<locals>.coro", 5, b"x"):
        assert "asyncio_task" not in ship(taskName=none, **also)["metadata"]
    cut = ship(taskName="x" * 100_000, **also)["metadata"]["asyncio_task"]
    assert 150 < len(cut) <= 200
    assert "more characters cut" in cut


@has_names
def test_a_field_of_the_application_of_that_name_is_kept() -> None:
    for also in ({}, {"exc_info": exc_info(raised(ValueError()))}):
        made = record(extra={"asyncio_task": "mine"}, taskName="import-5", **also)
        with capturing(__name__) as handler:
            handler.handle(made)
            assert "mine" in handler.entries[0]["metadata"].values()
