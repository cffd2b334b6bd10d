"""Pages of other origins: those that are allowed may post logs, and do nothing else; a browser asks before it posts."""

from __future__ import annotations

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.origins import origin_of
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient, ClientOf

SHOP = "https://shop.example"
TOKEN = "correct horse battery staple"
BODY = b'{"logs": [{"message": "m"}]}'
ASKED = {"access_control_request_method": "POST", "access_control_request_headers": "content-type,idempotency-key"}


@pytest.fixture
def local(store: Store, client_of: ClientOf) -> AppClient:
    return client_of(create_app(store, local_only=True, origins={SHOP, "http://localhost:3000"}))


@pytest.fixture
def guarded(store: Store, client_of: ClientOf) -> AppClient:
    return client_of(create_app(store, token=TOKEN, origins={SHOP}))


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
def test_a_browser_that_asks_is_told_what_the_page_may_send(local: AppClient, origin: str) -> None:
    answer = local.options("/logs", host="localhost:8000", origin=origin, **ASKED)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert "origin" in answer.headers["vary"].lower()
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"content-type", "content-encoding", "idempotency-key", "authorization"} <= {*allowed}
    assert "access-control-allow-credentials" not in answer.headers


def test_it_is_told_so_without_the_token_which_it_does_not_send_yet(guarded: AppClient, store: Store) -> None:
    assert guarded.options("/logs", origin=SHOP, **ASKED).status_code == 204
    answer = guarded.post_bytes(BODY, origin=SHOP)
    # The page can read why it was refused.
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, SHOP)
    answer = guarded.post_bytes(BODY, origin=SHOP, authorization=f"Bearer {TOKEN}")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)
    assert store.count() == 1
    # A proxy may rewrite Host.
    assert guarded.options("/logs", host="10.0.0.5:9000", origin=SHOP, **ASKED).status_code == 204
    answer = guarded.post_bytes(BODY, host="10.0.0.5:9000", origin=SHOP, authorization=f"Bearer {TOKEN}")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)


@pytest.mark.parametrize(("body", "status"), [(BODY, 200), (b"[]", 400), (b'{"logs": [1]}', 422)])
def test_the_page_may_read_every_answer_to_its_post(local: AppClient, body: bytes, status: int) -> None:
    answer = local.post_bytes(body, host="localhost:8000", origin=SHOP)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SHOP)
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://shop.example",
        f"{SHOP}:8443",
        f"{SHOP}.evil.example",
        "null",
        f"{SHOP}/",
        "*",
        "",
    ],
)
def test_other_origins_are_refused_as_ever(local: AppClient, store: Store, origin: str) -> None:
    for answer in (
        local.post_bytes(BODY, host="localhost:8000", origin=origin),
        local.options("/logs", host="localhost:8000", origin=origin, **ASKED),
    ):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert store.count() == 0


@pytest.mark.parametrize("path", ["/", "/logs", "/logs/stream", "/stats", "/logs/values", "/page/main.js", "/health"])
def test_an_allowed_origin_may_read_nothing(local: AppClient, guarded: AppClient, path: str) -> None:
    for client in (local, guarded):
        answers = [client.get_with(path, host="localhost:8000", origin=SHOP)]
        for method in ("GET", "DELETE") if path == "/logs" else ("GET", "DELETE", "POST"):
            asked = {"access_control_request_method": method}
            answers.append(client.options(path, host="localhost:8000", origin=SHOP, **asked))
        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert local.get_with("/logs", host="localhost:8000", origin=SHOP).status_code == 403


def test_the_name_of_the_host_is_still_checked(local: AppClient, store: Store) -> None:
    assert local.post_bytes(BODY, host="evil.example", origin=SHOP).status_code == 421
    assert store.count() == 0


def test_without_allowed_origins_no_page_of_another_site_may_post(store: Store, client_of: ClientOf) -> None:
    client = client_of(create_app(store, local_only=True))
    assert client.options("/logs", host="localhost", origin=SHOP, **ASKED).status_code == 403
    assert client.post_bytes(BODY, host="localhost", origin="").status_code == 403


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://shop.example", SHOP),
        ("https://Shop.Example/", SHOP),
        ("https://shop.example:443", SHOP),
        ("http://shop.example:443", "http://shop.example:443"),
        ("HTTP://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(given: str, origin: str) -> None:
    assert origin_of(given) == origin


@pytest.mark.parametrize(
    "given",
    [
        "*",
        "null",
        "",
        "shop.example",
        "https://",
        "https://*.shop.example",
        "https://shop.example/path",
        "https://shop.example?x",
        "https://a@shop.example",
        "ftp://shop.example",
        "https://shop.example:port",
        "https://[half",
        "https://shöp.example",
        "https://shop.example https://other.example",
    ],
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        origin_of(given)
