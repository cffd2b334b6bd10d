"""Each chain of structlog's documentation: what its own renderer shows is what arrives, once."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import structlog

from logcollector_handler.testing import CapturingHandler
from tests.integrations.structlog.chains import fail
from tests.integrations.structlog.documented import NATIVE, Chain, SemanticLogger
from tests.integrations.structlog.documented_stdlib import STDLIB
from tests.integrations.structlog.watching import Watch

CHAINS = sys.modules[SemanticLogger.__module__].__file__


class Case(NamedTuple):
    """A chain, and who ships its events beside the handler on the root logger; see Watch."""

    chain: Chain
    by_processor: bool = True
    in_formatter: bool = False
    formatted_first: bool = False

    def __str__(self) -> str:
        ways = {"processor": self.by_processor, "formatter": self.in_formatter, "first": self.formatted_first}
        return f"{self.chain.page}: {self.chain.what}: {' '.join(name for name, way in ways.items() if way)}"


CASES = [
    *[Case(chain) for chain in NATIVE],
    *[Case(chain, by_processor) for chain in STDLIB for by_processor in (True, False)],
    *[
        Case(chain, by_processor, True, first)
        for chain in STDLIB
        if "ProcessorFormatter" in chain.what
        for by_processor in (True, False)
        for first in (True, False)
    ],
]


@pytest.fixture(params=CASES, ids=str)
def watch(request: pytest.FixtureRequest, root: CapturingHandler) -> Iterator[Watch]:
    chain, *ways = request.param
    handlers = list(logging.getLogger().handlers)
    watch = Watch(root, *ways)
    watch.log = chain.make(watch)
    watch.as_text = chain.as_text and not watch.before
    yield watch
    logging.getLogger().handlers[:] = handlers


def test_an_event_arrives_as_it_is_shown(watch: Watch) -> None:
    log = watch.log.bind(user_id=7)
    entry, _ = watch.call(
        lambda: log.info("hello, world!", amount=99.5, items=["book", 2], order={"lines": [{"sku": "a", "left": None}]})
    )
    assert entry.get("user_id") == (None if watch.as_text else "7")
    wrapper = isinstance(watch.log, SemanticLogger)
    assert (entry["function_name"], entry["file_path"]) == (("info", CHAINS) if wrapper else ("<lambda>", __file__))


def test_positional_arguments_are_put_in(watch: Watch) -> None:
    if isinstance(watch.log, SemanticLogger | structlog.BoundLogger):
        return  # Their methods take none.
    watch.call(lambda: (getattr(watch.log, "error", None) or watch.log.msg)("%s is %d", "a", 1))


def failing(log: Any) -> None:
    try:
        fail()
    except ValueError:
        (getattr(log, "error", None) or log.info)("it failed", exc_info=True)


def test_an_exception_arrives_as_one(watch: Watch) -> None:
    entry, shown = watch.call(lambda: failing(watch.log))
    if watch.as_text:
        return
    if isinstance(shown.get("exception"), str) and "Traceback" not in shown["exception"]:
        # Rendered by a function of the application, to what it likes.
        assert entry["metadata"]["exception"] == shown["exception"]
        return
    assert (entry["error_type"], entry["function_name"]) == ("ValueError", "fail")
    assert entry["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert entry["stack_trace"].endswith("ValueError: why")
    if isinstance(shown.get("exception"), list):
        assert entry["metadata"]["exception"] == json.loads(json.dumps(shown["exception"]))
    else:
        assert "exception" not in entry["metadata"]


def stacked(log: Any) -> None:
    log.info("where", stack_info=True)


def test_a_stack_that_is_asked_for_arrives(watch: Watch) -> None:
    entry, _ = watch.call(lambda: stacked(watch.log))
    if watch.as_text or isinstance(watch.log, SemanticLogger):
        return
    lines = entry["stack_trace"].splitlines()
    assert lines[0] == "Stack (most recent call last):"
    assert [each for each in lines if each.startswith("  File ")][-1].endswith("in stacked")
    assert entry["function_name"] == "stacked"
    assert "stack_info" not in entry["metadata"]


def test_an_asynchronous_method_does_the_same(watch: Watch) -> None:
    if isinstance(watch.log, SemanticLogger | structlog.BoundLogger):
        return  # They have none.

    async def later() -> None:
        await watch.log.ainfo("later", user_id=7)

    entry, _ = watch.call(lambda: asyncio.run(later()))
    assert entry["function_name"] == "later"
