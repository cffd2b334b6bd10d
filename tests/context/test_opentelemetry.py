"""Records carry the ids of OpenTelemetry's current span; the package works without OpenTelemetry, too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from logcollector_handler import log_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.context.logged import last, log, logged


@pytest.fixture
def tracer() -> trace.Tracer:
    return TracerProvider().get_tracer("test")


def test_records_carry_trace_id_and_span_id_of_the_current_span(
    handler: CapturingHandler, tracer: trace.Tracer
) -> None:
    assert "trace_id" not in logged(handler)
    with tracer.start_as_current_span("outer") as outer:
        entry = logged(handler, {"note": 1})
        ids = outer.get_span_context()
        assert entry["trace_id"] == format(ids.trace_id, "032x")
        assert fields(entry) == {"span_id": format(ids.span_id, "016x"), "note": 1}
        with tracer.start_as_current_span("inner") as inner, log_context(user_id=1):
            entry = logged(handler)
            assert entry["trace_id"] == format(ids.trace_id, "032x")
            assert fields(entry) == {"span_id": format(inner.get_span_context().span_id, "016x")}
            assert entry["user_id"] == "1"
    assert "trace_id" not in logged(handler)
    assert fields(last(handler)) == {}


def test_an_explicit_trace_id_replaces_that_of_the_span_and_omits_the_span_id(
    handler: CapturingHandler, tracer: trace.Tracer
) -> None:
    with tracer.start_as_current_span("span") as span:
        ids = span.get_span_context()
        for entry in (logged(handler, {"trace_id": "mine"}), last_with(handler, trace_id="mine")):
            assert (entry["trace_id"], fields(entry)) == ("mine", {})
        same = uuid.UUID(int=ids.trace_id)
        entry = last_with(handler, trace_id=same)
        assert (entry["trace_id"], fields(entry)) == (same.hex, {"span_id": format(ids.span_id, "016x")})
        entry = last_with(handler, span_id="mine")
        assert (entry["trace_id"], fields(entry)) == (same.hex, {"span_id": "mine"})


def last_with(handler: CapturingHandler, **bound: Any) -> dict[str, Any]:
    with log_context(**bound):
        return logged(handler)


def test_each_task_logs_its_own_span(handler: CapturingHandler, tracer: trace.Tracer) -> None:
    async def request() -> None:
        with tracer.start_as_current_span("request") as span:
            await asyncio.sleep(0)
            log.info(format(span.get_span_context().trace_id, "032x"))

    async def main() -> None:
        await asyncio.gather(*(request() for _ in range(10)))

    asyncio.run(main())
    assert len({entry["trace_id"] for entry in handler.entries}) == 10
    assert all(entry["message"] == entry["trace_id"] for entry in handler.entries)


def test_a_broken_or_half_imported_opentelemetry_loses_no_record(
    handler: CapturingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", object())
    entry = logged(handler)
    assert ("trace_id" in entry, fields(entry)) == (False, {})


def test_importing_the_package_imports_neither_opentelemetry_nor_asyncio_nor_structlog() -> None:
    code = (
        "import sys, logging, logcollector_handler as l\n"
        "l.bind_context(a=1)\n"
        "from logcollector_handler.context import current_span\n"
        "assert current_span() is None\n"
        "names = {'opentelemetry', 'asyncio', 'structlog', 'httpx'} & set(sys.modules)\n"
        "sys.exit(str(names) if names else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
