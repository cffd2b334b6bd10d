"""`POST /logs`: which bodies are stored, and what is answered to the others. Without sockets."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.posting import MAX_KEY, ReceivedRequest
from logcollector_handler.collector.store import Added, Store
from logcollector_handler.wire.posted.body import Limits
from logcollector_handler.wire.posted.entries import Row
from tests.collector.app_client import AppClient, ClientOf


def body(*messages: str) -> bytes:
    return json.dumps({"logs": [{"message": message} for message in messages]}).encode()


def test_a_batch_is_stored_and_counted(client: AppClient, store: Store) -> None:
    answer = client.post({"message": "a"}, {"message": "b"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "count": 2})
    assert answer.headers["content-type"] == "application/json"
    assert store.count() == 2


def test_an_empty_batch_is_accepted(client: AppClient) -> None:
    assert client.post().json() == {"status": "ok", "count": 0}


def test_a_compressed_batch_is_stored(client: AppClient, store: Store) -> None:
    assert client.post_bytes(gzip.compress(body("a")), content_encoding="gzip").status_code == 200
    assert store.count() == 1


def test_an_invalid_entry_is_answered_422_with_its_index_and_nothing_is_stored(client: AppClient, store: Store) -> None:
    answer = client.post({"message": "good"}, {"message": "bad", "level": "WARNING"}, key="key")
    assert answer.status_code == 422
    assert answer.json() == {
        "status": "error",
        "error": "Entry 1 is refused: level: Invalid enum value 'WARNING' "
        "(allowed: TRACE, DEBUG, INFO, WARN, ERROR, FATAL).",
        "index": 1,
    }
    assert store.count() == 0
    assert client.post({"message": "good"}, key="key").json()["count"] == 1, "the key is still free"


def test_a_strict_collector_answers_500_to_the_whole_batch(strict_client: AppClient, store: Store) -> None:
    answer = strict_client.post({"message": "good"}, {"message": "bad", "level": "WARNING"})
    assert answer.status_code == 500
    assert answer.json()["status"] == "error"
    assert store.count() == 0


def test_a_repeated_key_answers_the_first_count_and_stores_nothing(client: AppClient, store: Store) -> None:
    """A client whose answer was lost sends the batch again."""
    answers = [client.post({"message": "a"}, {"message": "b"}, key="key") for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"status": "ok", "count": 2}] * 3
    assert store.count() == 2


@pytest.mark.parametrize("strict", [False, True])
def test_a_known_key_with_another_body_is_refused(store: Store, client_of: ClientOf, strict: bool) -> None:
    """The body as it is unpacked: a retry may be compressed, or not, or in another way."""
    client = client_of(create_app(store, strict=strict))
    first = body("a", "b")
    for content, encoding in (
        *[(first, ""), (gzip.compress(first, 1), "gzip"), (gzip.compress(first, 9, mtime=5), "gzip"), (first, "")],
    ):
        answer = client.post_bytes(content, content_encoding=encoding, idempotency_key="key")
        assert answer.json() == {"status": "ok", "count": 2}
    for content in (body("a", "c"), body("a"), first + b" "):
        answer = client.post_bytes(content, idempotency_key="key")
        assert (answer.status_code, "Idempotency-Key" in answer.json()["error"]) == (422, True)
        assert "index" not in answer.json()
    assert client.post_bytes(body("a", "c"), idempotency_key="other").status_code == 200
    assert store.count() == 4


def test_two_posts_of_one_key_at_the_same_time_are_stored_once(client: AppClient, store: Store) -> None:
    batch = [{"message": f"{number}"} for number in range(500)]
    answers = client.post_together(*[batch] * 6, key="key")
    assert [answer.json()["count"] for answer in answers] == [500] * 6
    assert store.count() == 500


def test_an_empty_key_counts_as_none(client: AppClient, store: Store) -> None:
    for _ in range(2):
        client.post({"message": "a"}, key="")
    assert store.count() == 2


def test_a_key_that_is_too_long_is_refused(client: AppClient) -> None:
    assert client.post({"message": "a"}, key="k" * MAX_KEY).status_code == 200
    answer = client.post({"message": "a"}, key="k" * (MAX_KEY + 1))
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]


@pytest.mark.parametrize(
    ("status", "content", "encoding"),
    [
        (400, b"{", ""),
        (400, b'{"entries": []}', ""),
        (400, b"no gzip", "gzip"),
        (413, body("x" * 100), ""),
        (413, gzip.compress(body("x" * 1000)), "gzip"),
        (413, body("a", "b", "c"), ""),
        (415, body("a"), "br"),
    ],
)
def test_a_body_that_is_not_accepted_is_answered_with_a_status_and_a_reason(
    store: Store, client_of: ClientOf, status: int, content: bytes, encoding: str
) -> None:
    limits = Limits(body_bytes=100, decompressed_bytes=500, batch_length=2)
    client = client_of(create_app(store, limits=limits))
    answer = client.post_bytes(content, content_encoding=encoding)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert store.count() == 0
    assert client.post({"message": "fine"}).status_code == 200


def test_a_body_that_exceeds_the_memory_for_all_bodies_is_answered_503(store: Store, client_of: ClientOf) -> None:
    client = client_of(create_app(store, limits=Limits(held_bytes=1000)))
    for _ in range(3):
        assert client.post_bytes(body("x" * 500)).status_code == 200, "each is forgotten again"
        assert client.post_bytes(body("x" * 1000)).status_code == 503
    assert store.count() == 3


@pytest.mark.parametrize("part", ["{},", "[],", "0.1,", '"",'])
def test_a_small_body_with_millions_of_values_is_refused_before_it_is_parsed(client: AppClient, part: str) -> None:
    bomb = gzip.compress(b'{"logs": [' + part.encode() * 5_000_000 + b"0]}")
    assert len(bomb) < 100_000
    answer = client.post_bytes(bomb, content_encoding="gzip")
    assert answer.status_code == 413
    assert "values" in answer.json()["error"]


def test_a_body_as_large_as_the_limit_is_accepted(store: Store, client_of: ClientOf) -> None:
    content = body("x" * 100)
    client = client_of(create_app(store, limits=Limits(body_bytes=len(content))))
    assert client.post_bytes(content).status_code == 200
    assert client.post_bytes(content + b" ").status_code == 413


def test_the_observer_is_called_with_every_post_and_its_outcome(store: Store, client_of: ClientOf) -> None:
    seen: list[ReceivedRequest] = []
    client = client_of(create_app(store, strict=True, observer=seen.append))
    content = gzip.compress(b'{"logs": [{"message": "a", "order": 1}]}')
    for _ in range(2):
        client.post_bytes(content, content_encoding="gzip", idempotency_key="key", x_test="1")
    client.post({"message": "a", "level": "LOUD"})
    client.get("/logs")
    first, again, refused = seen
    assert (first.key, first.body_size, first.content_encoding) == ("key", len(content), "gzip")
    assert (first.status, first.count, first.repeated) == (200, 1, False)
    assert first.ignored_keys == {"order"}
    assert first.headers["x-test"] == "1"
    assert (again.status, again.count, again.repeated) == (200, 1, True)
    assert (refused.status, refused.count, refused.key) == (500, 0, None)


class FullDisk(Store):
    """A store on a disk that is full."""

    def add(self, rows: Sequence[Row], key: str | None = None, digest: bytes | None = None) -> Added:
        raise sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_is_answered_503_so_that_the_client_keeps_its_batch(tmp_path: Path, client_of: ClientOf) -> None:
    store = FullDisk(tmp_path / "logs.sqlite")
    answer = client_of(create_app(store)).post({"message": "a"})
    assert answer.status_code == 503
    assert "database or disk is full" in answer.json()["error"]
    store.close()
