"""Lines of the journal that become OTLP later, perhaps in another process."""

from __future__ import annotations

from typing import Any

import pytest

from logcollector_handler.entry.model import Entry
from logcollector_handler.wire import FORMATS, resource
from tests.entry.making import BIG, builder, record
from tests.wire.reading import read

FORM = FORMATS["otlp"]


def entry_with(extra: dict[str, Any] | None) -> Entry:
    return builder(site_entry=FORM.site_entry, common=FORM.common).build(record("m", extra=extra))


def test_a_line_that_grows_most_as_otlp_is_short_enough() -> None:
    # "-1," is three bytes, and thirteen in a list of OTLP.
    [run] = FORM.runs_of_lines([FORM.encode_line(entry_with({"many": [-1] * 21_000}), BIG)])
    assert len(run.encoded) <= BIG


def test_a_record_of_which_little_is_left_says_how_much_is_missing() -> None:
    named = {"service": "\U0001f600" * 100, "service_version": "\U0001f600" * 50}
    line = FORM.encode_line(entry_with({**named, "a": 1, "b": 2}), 900)
    [cut] = read(FORM.join(FORM.runs_of_lines([line])))
    assert cut.resource["service.name"] == named["service"]
    # Function, file, logger, line and thread, and two of the user's.
    assert cut.attributes == {"log_type": "BACKEND", "…": "7 more left out"}


@pytest.mark.parametrize("extra", [None, {"a": 1}, {"a": "x" * 5000}])
@pytest.mark.parametrize("variable", ["", "team=a,host.name=box", "team=%C3%A9,none=\udcff", "wrong"])
def test_a_record_keeps_its_resource_where_another_process_makes_the_batch_of_its_line(
    extra: dict[str, Any] | None, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", variable)
    line = FORM.encode_line(entry_with(extra), 2048)
    [own] = read(FORM.join(FORM.encode([entry_with(extra)], 2048)))
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=b,more=c")
    monkeypatch.setattr(resource, "_host", lambda: "another")
    [found] = read(FORM.join(FORM.runs_of_lines([line])))
    assert found.resource == own.resource
