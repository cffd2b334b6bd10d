"""The guard: with a token only requests that send it, without one only those from this machine or the own page."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TypeAlias

import pytest
from starlette.applications import Starlette

from logcollector_handler.collector import guard
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.static import NAMES
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient

ClientOf: TypeAlias = Callable[[Starlette], AppClient]
TOKEN = "correct horse battery staple"
BODY = b'{"logs": [{"message": "m"}]}'


@pytest.fixture
def guarded(store: Store, client_of: ClientOf) -> AppClient:
    return client_of(create_app(store, token=TOKEN))


@pytest.fixture
def local(store: Store, client_of: ClientOf) -> AppClient:
    return client_of(create_app(store, local_only=True))


@pytest.mark.parametrize("path", ["/logs", "/stats", "/logs/stream", "/logs/histogram", "/logs/values", "/nothing"])
@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "é"]
)
def test_without_the_token_nothing_can_be_read(guarded: AppClient, path: str, given: str) -> None:
    answer = guarded.get_with(path, authorization=given)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


def test_without_the_token_nothing_is_stored(guarded: AppClient, store: Store) -> None:
    assert guarded.post_bytes(BODY).status_code == 401
    assert store.count() == 0


@pytest.mark.parametrize("kind", ["Bearer", "bearer"])
def test_with_the_token_logs_can_be_stored_and_read(guarded: AppClient, kind: str) -> None:
    given = f"{kind} {TOKEN}"
    assert guarded.post_bytes(BODY, authorization=given).status_code == 200
    assert len(guarded.get_with("/logs", authorization=given).json()["logs"]) == 1


def test_status_and_page_need_no_token(guarded: AppClient) -> None:
    """The page asks for the token, so a browser must get it without one."""
    assert guarded.get("/").json()["status"] == "ok"
    assert guarded.get_with("/", accept="text/html").status_code == 200
    for name in NAMES:
        assert guarded.get(f"/page/{name}").status_code == 200
    assert guarded.get("/page/../logs").status_code in (401, 404)


def test_the_token_is_compared_in_constant_time(guarded: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(guard, "hmac", type("spy", (), {"compare_digest": staticmethod(compare)}))
    guarded.get_with("/logs", authorization="Bearer guess")
    assert compared == [(b"guess", TOKEN.encode())]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "127.0.0.2", "[::1]:8000", "LOCALHOST", "a.localhost"]
)
def test_a_request_to_a_local_host_name_is_answered(local: AppClient, host: str) -> None:
    assert local.get_with("/logs", host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "evil@x"]
)
@pytest.mark.parametrize("path", ["/", "/logs", "/page/index.html"])
def test_a_request_to_a_foreign_host_name_is_refused(local: AppClient, host: str, path: str) -> None:
    """DNS rebinding: a page of evil.example, whose name now resolves to 127.0.0.1, sends its own name as the host."""
    answer = local.get_with(path, host=host)
    assert answer.status_code == 421
    assert "localhost" in answer.json()["error"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "https://evil.example:8000"]
)
def test_a_page_of_another_site_can_neither_write_nor_read(local: AppClient, store: Store, origin: str) -> None:
    answer = local.post_bytes(BODY, host="localhost:8000", origin=origin, content_type="text/plain")
    assert answer.status_code == 403
    assert store.count() == 0
    answer = local.get_with("/logs", host="localhost:8000", origin=origin)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_collectors_own_page_is_answered(local: AppClient) -> None:
    assert local.get_with("/logs", host="localhost:8000", origin="http://localhost:8000").status_code == 200
