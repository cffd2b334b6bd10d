"""Requests that are malformed in any part, and bodies made to be expensive: each is answered, and stops no other."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logcollector_handler.collector import posting
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted import body as body_module
from logcollector_handler.wire.posted.body import Limits, RawBatch, RefusedError, read_body, unpack
from tests.collector.app_client import AppClient, ClientOf

BODY = b'{"logs": [{"message": "m"}]}'
#: JSON texts that parsers disagree about, or that no column holds.
ODD = st.sampled_from(
    [
        *[
            '"\\ud800"',
            '"\\udc00x"',
            '"a\\u0000"',
            '"\\ud83d\\ude00"',
            "NaN",
            "-Infinity",
            "1e999",
            "-0",
            "1e-400",
            "[]",
        ],
        *["{}", "null", "true", '""', "1" + "0" * 400, "18446744073709551616", "1" * 5000, "[" * 300 + "]" * 300],
        *['{"\\ud800": 1}', '{"a": "\\ud800"}', '{"a":' * 300 + "1" + "}" * 300, '{"logger": "\\ud800"}', '"WARNING"'],
    ]
)
NAMES = st.sampled_from(["message", "level", "created_at", "service", "duration_ms", "metadata", "other", "\\ud800"])
ENTRIES = st.one_of(ODD, st.dictionaries(NAMES, ODD, max_size=3).map(lambda each: _object({"message": '"m"', **each})))
HEADERS = st.sampled_from(
    [
        "origin",
        "host",
        "content-encoding",
        "content-type",
        "idempotency-key",
        "authorization",
        "last-event-id",
        "accept",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        ["http://[", "http://]", "http://[::1", "http://[v1.x]", "null", "//", "http://a b", "\xff", "[", ""]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
)


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


@pytest.fixture
def local(store: Store, client_of: ClientOf) -> AppClient:
    """A client of a collector that looks at Host and Origin."""
    return client_of(create_app(store, local_only=True))


@given(entries=st.lists(ENTRIES, max_size=4))
@example(entries=['"\\ud800"', "[]"])
@example(entries=['{"message": "m"}', '"\\udc00"'])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_answered_500_or_not_at_all(client: AppClient, entries: list[str]) -> None:
    answer = client.post_bytes(f'{{"logs": [{",".join(entries)}]}}'.encode())
    assert answer.status_code in (200, 400, 422)
    assert answer.json()["status"] == ("ok" if answer.status_code == 200 else "error")
    # What was stored can also be read.
    assert client.get("/logs").status_code == 200


@given(name=HEADERS, value=VALUES, path=st.sampled_from(["/logs", "/", "/logs/histogram", "/page/x", "/health"]))
@example(name="origin", value="http://[", path="/logs")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_is_answered_500_or_not_at_all(local: AppClient, name: str, value: str, path: str) -> None:
    assert local.get_with(path, **{"host": "localhost", name: value}).status_code < 500
    assert local.post_bytes(BODY, **{"host": "localhost", name: value}).status_code < 500


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]", "http://[v1.x]", "null", "", "x"])
def test_a_malformed_origin_is_another_site(local: AppClient, store: Store, origin: str) -> None:
    answer = local.post_bytes(BODY, host="localhost", origin=origin)
    assert (answer.status_code, "other sites" in answer.json()["error"]) == (403, True)
    assert store.count() == 0


@pytest.mark.parametrize("flip", range(0, 40, 3))
def test_damaged_gzip_is_answered_400(client: AppClient, flip: int) -> None:
    damaged = bytearray(gzip.compress(BODY, mtime=0))
    damaged[flip] ^= 0xFF
    assert client.post_bytes(bytes(damaged[: len(damaged) - flip // 2]), content_encoding="gzip").status_code == 400


def test_a_reason_that_quotes_what_was_posted_is_cut(client: AppClient) -> None:
    answer = client.post({"message": "m", "level": "x" * 1_000_000})
    assert answer.status_code == 422
    assert len(answer.content) < 2000


class Counted:
    """Stands for a decompressor of zlib, and counts the bytes that all of them are given."""

    given = 0

    def __init__(self, wbits: int) -> None:
        self._real = zlib.decompressobj(wbits)

    def decompress(self, data: bytes, most: int) -> bytes:
        Counted.given += len(data)
        return self._real.decompress(data, most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_the_work_for_gzip_of_many_members_grows_with_its_length_and_not_with_the_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Zlib:
        MAX_WBITS = zlib.MAX_WBITS
        error = zlib.error
        decompressobj = Counted

    monkeypatch.setattr(body_module, "zlib", Zlib)
    given = []
    for members in (2000, 8000):
        Counted.given = 0
        content = gzip.compress(b"") * (members - 1) + gzip.compress(BODY)
        assert unpack(content, "gzip", Limits()) == BODY
        given.append(Counted.given)
    assert given[1] < 5 * given[0]


def test_gzip_of_more_members_than_a_batch_may_have_entries_is_refused() -> None:
    content = gzip.compress(b"") * 5 + gzip.compress(BODY)
    assert len(read_body(content, "gzip", Limits(batch_length=6)).entries) == 1
    with pytest.raises(RefusedError, match="members") as caught:
        unpack(content, "gzip", Limits(batch_length=5))
    assert caught.value.status == 413


@given(st.lists(st.binary(max_size=6000), min_size=1, max_size=5), st.integers(0, 5000))
@settings(max_examples=60, deadline=None)
def test_gzip_of_several_members_and_padding_is_unpacked_as_the_standard_library_does(
    parts: list[bytes], padding: int
) -> None:
    content = b"".join(map(gzip.compress, parts)) + bytes(padding)
    assert unpack(content, "gzip", Limits()) == gzip.decompress(content) == b"".join(parts)
    # Whole members are whole bodies, so only what ends inside the last one is sure to be refused.
    with pytest.raises(RefusedError):
        unpack(content[: len(content) - padding - 4], "gzip", Limits())


def test_bodies_that_take_long_to_parse_do_not_stop_other_posts(
    store: Store, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsing, go_on = threading.Event(), threading.Event()
    whole = json.dumps({"logs": [{"message": "x" * posting.LARGE}]}).encode()

    def slow(content: bytes, encoding: str, limits: Limits) -> RawBatch:
        if len(content) >= posting.LARGE:
            parsing.set()
            assert go_on.wait(60)
        return read_body(content, encoding, limits)

    monkeypatch.setattr(posting, "read_body", slow)
    client = client_of(create_app(store))
    large = [client.begin_post(gzip.compress(whole), content_encoding="gzip") for _ in range(posting.LARGE_WAITING + 1)]
    client.until(parsing)
    assert [client.post({"message": "small"}).status_code for _ in range(5)] == [200] * 5
    while not any(each.done() for each in large):
        client.wait(0.01)
    go_on.set()
    statuses = sorted(client.end(each).status_code for each in large)
    assert statuses == [200] * posting.LARGE_WAITING + [503], "only so many may wait"
    assert store.count() == 5 + posting.LARGE_WAITING
