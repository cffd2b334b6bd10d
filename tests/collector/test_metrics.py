"""`GET /metrics` of the collector, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from logcollector_handler.collector import app, retention
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.retention import Keep, Removals
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient, ClientOf


def values(client: AppClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removeprefix("logcollector_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_was_received_and_stored_is_counted(client: AppClient) -> None:
    assert values(client)["logs_stored_total",] == 0
    client.post({"message": "a"}, {"message": "b"}, key="k")
    client.post({"message": "a"}, {"message": "b"}, key="k")
    client.post({"level": "loud"})
    found = values(client)
    assert found["requests_total", "200"] == 2
    assert found["requests_total", "422"] == 1
    assert (found["logs_stored_total",], found["batches_repeated_total",]) == (2, 1)
    assert found["received_bytes_total",] > 100
    assert (found["healthy",], found["streams",], found["unread_bytes",]) == (1, 0, 0)
    assert found["file_bytes",] > 10_000


def test_a_file_that_cannot_be_used_shows(client: AppClient, tmp_path: Path) -> None:
    (tmp_path / "logs.sqlite").unlink()
    found = values(client)
    assert found["healthy",] == 0
    assert ("file_bytes",) not in found


def test_posts_that_the_store_could_not_take_are_counted(client: AppClient, tmp_path: Path) -> None:
    (tmp_path / "logs.sqlite").rename(tmp_path / "moved.sqlite")
    assert client.post({"message": "a"}).status_code == 503
    assert values(client)["requests_total", "503"] == 1


def test_metrics_need_the_token(store: Store, client_of: ClientOf) -> None:
    client = client_of(create_app(store, token="sesame"))
    assert client.get("/metrics").status_code == 401
    assert client.get_with("/metrics", authorization="Bearer sesame").status_code == 200


def test_removals_are_counted_and_said(
    store: Store, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "INTERVAL", 0.01)
    client = client_of(create_app(store, keep=Keep(days=1)))
    client.post({"message": "old", "created_at": 1}, {"message": "older", "created_at": 0}, {"message": "new"})
    for _ in range(1000):
        if values(client)["logs_removed_total",] == 2:
            break
        client.wait(0.01)
    else:
        pytest.fail("they are not counted")
    assert "logs were removed, because they were too old or the file too large." in caplog.text
    client.close()


def test_removals_are_said_at_once_and_then_together(caplog: pytest.LogCaptureFixture) -> None:
    removals = Removals()
    for count, now in ((0, 5.0), (3, 10.0), (4, 20.0), (5, 30.0), (0, 10.0 + retention.SAY_EVERY), (1, 700.0)):
        removals.add(count, now)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["3", "9"]
