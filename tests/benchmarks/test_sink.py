"""The sink, which every number of delivered and lost records comes from, counts what came."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.benchmarks.sink import SPAN, WARM_UP, Sink, numbers


def body(*orders: int) -> bytes:
    return json.dumps({"logs": [{"message": f"order {number} placed", "level": "INFO"} for number in orders]}).encode()


def test_it_tells_records_that_came_twice_or_late_from_those_that_came_once() -> None:
    sink = Sink()
    sink.bodies = [body(0, 1, 3), body(2, 4), body(3, SPAN, SPAN + 1), body(WARM_UP * SPAN)]
    report = sink.report()
    assert (report["records"], report["unique"]) == (9, 7)
    assert (report["repeated"], report["out_of_order"]) == (1, 2)


@pytest.mark.parametrize(
    "sent",
    [
        gzip.compress(body(7, 8)),
        b'{"message": "order 7 placed"}\n{"message": "order 8 failed", "@version": "1"}\n',
        b'{"sent_at": ""}\n{"type": "log"}\n{"items": [{"body": "order 7 placed"}, {"body": "order 8 placed"}]}',
        b"\x92\x81\xa7message\xaeorder 7 placed\x81\xa7message\xaeorder 8 placed",
        b"\n\x10\n\x0eorder 7 placed\n\x10\n\x0eorder 8 placed",
        b'{"message": "order 7 placed", "formatted": "order 7 placed"}\n{"message": "order 8 placed"}',
    ],
    ids=["gzip", "lines", "envelope", "msgpack", "protobuf", "said-twice"],
)
def test_it_finds_the_records_of_each_protocol(sent: bytes) -> None:
    assert list(numbers(sent)) == [7, 8]
