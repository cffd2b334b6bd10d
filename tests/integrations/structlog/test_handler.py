"""The processor and its handler: levels, filters, errors, events of any shape, and what is kept alive."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.entry.strategies import Hostile, Switch, big, check_entry, names, values
from tests.integrations.structlog.chains import chain, through


def test_level_and_filters_of_the_handler_apply(root: CapturingHandler) -> None:
    root.setLevel(logging.WARNING)
    root.addFilter(lambda record: record.name != "noisy")
    log = through(root, structlog.processors.JSONRenderer())
    log.info("too low")
    log.warning("hello")
    log.warning("not this", logger="noisy")
    assert [entry["message"] for entry in root.entries] == ["hello"]


def test_filters_see_the_event_as_a_record_with_an_extra(root: CapturingHandler) -> None:
    root.addFilter(lambda record: record.getMessage() == "hello" and record.user_id == 7)  # type: ignore[attr-defined]  # as any extra
    log = chain(root)
    log.info("hello", user_id=7)
    log.info("hello", user_id=8)
    log.info("bye", user_id=7)
    assert len(root.entries) == 1


def test_a_failing_filter_is_counted_and_reported_and_not_raised(
    root: CapturingHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    root.addFilter(broken)
    log = chain(root)
    assert log.info("hello", a=1) == ((), {"event": "hello", "a": 1})
    assert root.stats().dropped == {"internal_error": 1}
    assert capsys.readouterr().err == (
        f"logcollector-handler: a record of logger {__name__!r} was dropped: the handler failed on it\n"
    )


def test_without_structlog_the_import_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "structlog"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "structlog", None)
    monkeypatch.delitem(sys.modules, "logcollector_handler.integrations.structlog")
    with pytest.raises(ImportError, match=r"pip install 'logcollector-handler\[structlog\]'"):
        import logcollector_handler.integrations.structlog  # noqa: F401 - for its error


special = st.sampled_from(
    ["event", "level", "level_number", "timestamp", "logger", "exc_info", "exception", "stack", "stack_info"]
) | st.sampled_from(["positional_args", "_record", "_from_structlog", "pathname", "lineno", "func_name", "metadata"])


@settings(big, max_examples=60)
@example({"event": Hostile(), "positional_args": (1,)}, "info")
@given(st.dictionaries(names | special, values, max_size=8), st.sampled_from(["info", "exception", "trace", "odd"]))
def test_an_event_of_any_shape_is_shipped_without_raising(event: dict[str, Any], method: str) -> None:
    handler = CapturingHandler()
    processor = LogCollectorProcessor(handler)
    with Switch():
        assert processor(None, method, event) is event
    (line,) = handler._lines
    entry = check_entry(line, handler._settings.max_record_bytes)
    assert "unreadable" not in entry["metadata"] or "unreadable" in event
    handler.close()


def test_no_frame_is_kept_alive(handler: CapturingHandler) -> None:
    class Local:
        pass

    def work() -> weakref.ref[Local]:
        local = Local()
        chain(handler).info("hello", stack_info=True)
        return weakref.ref(local)

    gc.disable()
    try:
        assert work()() is None
    finally:
        gc.enable()


def test_a_type_checker_accepts_it_as_a_processor(handler: CapturingHandler, tmp_path: Path) -> None:
    processors: list[structlog.typing.Processor] = [LogCollectorProcessor(handler)]
    assert callable(processors[0])


def test_all_processors_of_a_handler_share_one_filter_that_keeps_none_of_them(handler: CapturingHandler) -> None:
    others = [lambda record: True]
    handler.addFilter(others[0])
    kept = [weakref.ref(LogCollectorProcessor(handler)) for _ in range(3)]
    assert len(handler.filters) == len(others) + 1
    gc.collect()
    assert [each() for each in kept] == [None] * 3


def test_a_processor_that_goes_while_a_filter_is_added_takes_no_filter_along(handler: CapturingHandler) -> None:
    """The garbage collector can come between the two steps of `addFilter`: it looks up the list, then appends."""
    processor = [LogCollectorProcessor(handler)]
    filters = handler.filters
    processor.clear()
    gc.collect()
    assert handler.filters is filters
