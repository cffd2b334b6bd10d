"""The fields of a request: valid ids in its headers are used, others are replaced or ignored."""

from __future__ import annotations

import pytest

from logcollector_handler.integrations.access import request_fields, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "header", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-what the future will be like"]
)
def test_a_valid_traceparent_gives_the_trace_id(header: str) -> None:
    assert trace_id_of(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
    ],
)
def test_any_other_traceparent_is_ignored(header: str | None) -> None:
    assert trace_id_of(header) is None


def fields(request_id: str | None) -> dict[str, str]:
    return request_fields(path="/", method="GET", client=None, request_id=request_id, traceparent=None)


@pytest.mark.parametrize("given", ["a", "req-1", "01HX/9:_.+=@z", "x" * 128])
def test_a_plain_request_id_is_used(given: str) -> None:
    assert fields(given)["request_id"] == given


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "a\nb", "ключ", "<script>"])
def test_a_missing_or_strange_request_id_is_replaced(given: str | None) -> None:
    made = fields(given)["request_id"]
    assert made != given
    assert len(made) == 32
    assert fields(given)["request_id"] != made


def test_unknown_fields_are_not_bound() -> None:
    assert fields("a") == {"path": "/", "method": "GET", "request_id": "a"}
