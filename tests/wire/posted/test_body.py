"""Reading a body: gzip, JSON, and the limits of both."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from logcollector_handler.wire.posted.body import Limits, RefusedError, read_body

BODY = json.dumps({"logs": [{"message": "héllo"}]}).encode()
ENTRIES = [{"message": "héllo"}]


def status_of(body: bytes, encoding: str = "", limits: Limits | None = None) -> int:
    with pytest.raises(RefusedError) as caught:
        read_body(body, encoding, limits or Limits())
    assert caught.value.reason.endswith(".")
    return caught.value.status


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), " GZIP "),
        (gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), "gzip"),
        (gzip.compress(BODY) + b"\0\0\0", "gzip"),
    ],
    ids=["plain", "identity", "gzip", "other case", "two members", "padded"],
)
def test_plain_and_gzip_bodies_are_read(body: bytes, encoding: str) -> None:
    assert read_body(body, encoding, Limits()).entries == ENTRIES


def test_a_body_of_several_gzip_streams_is_read() -> None:
    entries = [{"message": f"{number:0100}"} for number in range(40_000)]
    body = gzip.compress(json.dumps({"logs": entries}).encode())
    assert read_body(body, "gzip", Limits(batch_length=len(entries))).entries == entries


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_another_encoding_is_answered_415(encoding: str) -> None:
    assert status_of(BODY, encoding) == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY,
        gzip.compress(BODY)[:-3],
        gzip.compress(BODY)[:5],
        gzip.compress(BODY) + b"rest",
        zlib.compress(BODY),
        gzip.compress(BODY)[:-8] + bytes(8),
    ],
    ids=[
        "empty",
        "not gzip",
        "cut in the trailer",
        "cut in the header",
        "garbage after it",
        "zlib",
        "checksum",
    ],
)
def test_broken_gzip_is_answered_400(body: bytes) -> None:
    assert status_of(body, "gzip") == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        BODY + b"x",
        b'{"logs": [{"message": "\xff"}]}',
        b'{"logs": [{"message": "\xed\xa0\x80"}]}',
        b'{"logs": [{"message": "a\x00b"}]}',
        b'{"logs": [{"message": "a\nb"}]}',
        b"\xef\xbb\xbf" + BODY,
        BODY.decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"logs": [' + b"1" * 5000 + b",]}",
    ],
    ids=[
        "empty",
        "cut",
        "no JSON",
        "trailing",
        "not UTF-8",
        "surrogate bytes",
        "raw NUL",
        "raw newline",
        "BOM",
        "UTF-16",
        "deep",
        "digits",
    ],
)
def test_what_is_not_json_is_answered_400(body: bytes) -> None:
    assert status_of(body) == 400


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"logs"', b"null", b'{"logs": null}', b'{"logs": {"0": {}}}'])
def test_json_without_a_list_of_logs_is_answered_400(body: bytes) -> None:
    assert status_of(body) == 400


def test_a_body_that_unpacks_beyond_the_limit_is_answered_413() -> None:
    limits = Limits(decompressed_bytes=len(BODY) - 1)
    assert status_of(gzip.compress(BODY), "gzip", limits) == 413
    assert status_of(BODY, "", limits) == 413
    assert read_body(gzip.compress(BODY), "gzip", Limits(decompressed_bytes=len(BODY))).entries == ENTRIES


def test_a_gzip_bomb_is_stopped_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)
    tracemalloc.start()
    try:
        assert status_of(bomb, "gzip", Limits(decompressed_bytes=4 * 1024 * 1024)) == 413
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 1024 * 1024


def test_a_gzip_bomb_of_many_small_streams_is_stopped_too() -> None:
    bomb = gzip.compress(bytes(100_000)) * 100
    assert status_of(bomb, "gzip", Limits(decompressed_bytes=1_000_000)) == 413


def test_a_batch_that_is_too_long_is_answered_413() -> None:
    body = json.dumps({"logs": [{"message": "m"}] * 3}).encode()
    assert len(read_body(body, "", Limits(batch_length=3)).entries) == 3
    assert status_of(body, "", Limits(batch_length=2)) == 413


@pytest.mark.parametrize(
    ("text", "suspicious"),
    [
        (b'"fine"', False),
        (b'"a\\u0000b"', True),
        (b'"\\ud800"', True),
        (b"NaN", True),
        (b"1e999", True),
        (b'"\\ud83d\\ude00"', False),
    ],
)
def test_json_with_values_that_no_column_holds_is_read_and_marked_suspicious(text: bytes, suspicious: bool) -> None:
    """Other servers parse such JSON, too; so only the entry is wrong, not the whole body."""
    batch = read_body(b'{"logs": [' + text + b"]}", "", Limits())
    assert len(batch.entries) == 1
    assert batch.suspicious == suspicious
