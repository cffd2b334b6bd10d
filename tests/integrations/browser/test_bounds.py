"""Who may post to a relay, and how much."""

from __future__ import annotations

import gzip
import json

import pytest

from logcollector_handler.integrations.browser import BrowserRelay, Limits
from logcollector_handler.integrations.browser.keys import REMEMBERED, SECONDS, Keys
from logcollector_handler.integrations.browser.limits import ADDRESSES, Shares
from logcollector_handler.integrations.browser.relay import Relay, Request
from tests.capturing import capturing
from tests.integrations.browser.conftest import Make
from tests.integrations.browser.sites import PAGE, Site

BODY = b'{"logs": [{"message": "m"}]}'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        # A proxy may rewrite Host.
        ({"sec-fetch-site": "same-origin", "origin": "https://public.example"}, 200),
        ({"sec-fetch-site": "same-site", "origin": "https://shop.example"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "https://shop.example"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": ""}, 403),
        ({"origin": "https://shop.example"}, 200),
        ({"origin": "https://SHOP.example:443"}, 200),
        ({"origin": "http://shop.example:80"}, 200),
        ({"origin": "https://shop.example:8443"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://shop.example.evil.example"}, 403),
        ({"origin": "https://shop.example@evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://[half"}, 403),
        ({"origin": "https://shop.example:port"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://", "host": ""}, 403),
        ({}, 403),
    ],
)
def test_only_pages_of_the_same_origin_may_post(site: Site, headers: dict[str, str], status: int) -> None:
    assert site.request("POST", "logs", headers, BODY).status == status
    assert len(site.entries) == (status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "logs", 405),
        ("OPTIONS", "logs", 405),
        ("PUT", "logs", 405),
        ("POST", "", 404),
        ("POST", "other", 404),
        ("GET", "../pyproject.toml", 404),
        ("GET", "..%2fclient.py", 404),
        ("GET", "node.js", 404),
        ("GET", "package.json", 404),
        ("GET", "logs/", 404),
    ],
)
def test_there_is_nothing_else(site: Site, method: str, path: str, status: int) -> None:
    assert site.request(method, path, PAGE).status == status


def test_a_body_is_bounded_before_and_after_it_is_unpacked(make_site: Make) -> None:
    site = make_site(Limits(body_bytes=1000, decompressed_bytes=5000, batch_length=3))
    assert site.post({"message": "m" * 2000}).status == 413
    assert site.request("POST", "logs", {**PAGE, "content-length": "2000"}, b"").status == 413
    bomb = gzip.compress(json.dumps({"logs": [{"message": "m" * 6000}]}).encode())
    assert site.post_bytes(bomb, content_encoding="gzip").status == 413
    assert site.post(*[{"message": "m"}] * 4).status == 413
    assert site.entries == []
    assert site.post(*[{"message": "m"}] * 3).status == 200


def test_no_more_of_a_body_is_read_than_there_may_be() -> None:
    import asyncio

    relay = BrowserRelay(limits=Limits(body_bytes=1000))
    read: list[int] = []
    statuses = []

    async def receive() -> dict[str, object]:
        read.append(1)
        return {"type": "http.request", "body": b"x" * 300, "more_body": True}

    async def send(message: object) -> None:
        statuses.append(message)

    scope = {"type": "http", "method": "POST", "path": "/logs", "headers": [(b"sec-fetch-site", b"same-origin")]}
    asyncio.run(relay(scope, receive, send))
    assert len(read) == 4
    assert statuses[0]["status"] == 413  # type: ignore[index]  # a message


def test_a_client_that_goes_away_is_not_answered() -> None:
    import asyncio

    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/logs", "headers": [(b"sec-fetch-site", b"same-origin")]}
    asyncio.run(BrowserRelay()(scope, receive, send))
    assert sent == []


def test_a_client_that_sent_too_much_is_told_when_to_come_again(make_site: Make) -> None:
    site = make_site(Limits(client_burst=10, client_rate=0.1))
    assert site.post(*[{"message": "m"}] * 12).status == 200
    answer = site.post({"message": "m"})
    assert (answer.status, answer.said["status"]) == (429, "error")
    # Three are owed, at ten seconds each.
    assert answer.headers["retry-after"] in ("29", "30")
    assert site.post({"message": "m"}, client="203.0.113.6").status == 200
    assert len(site.entries) == 13


def test_all_clients_together_are_bounded(make_site: Make) -> None:
    site = make_site(Limits(burst=10, rate=0.1))
    statuses = [site.post(*[{"message": "m"}] * 5, client=f"203.0.113.{n}").status for n in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_what_is_refused_uses_up_the_share_too(make_site: Make) -> None:
    site = make_site(Limits(client_burst=10, client_rate=0.1))
    statuses = [site.post_bytes(b"nonsense").status for _ in range(11)]
    assert statuses == [400] * 10 + [429]
    assert site.post_bytes(b"x" * 20_000, **{"x-forwarded-for": "203.0.113.9"}).status == 429


def test_a_length_that_python_cannot_read_is_too_large() -> None:
    headers = {**PAGE, "content-length": "9" * 5000}
    answer = Relay(None, None).begin(Request("POST", "/logs", "203.0.113.5", headers.get))
    assert answer is not None
    assert answer.status == 413


def test_of_posts_that_come_at_the_same_time_one_may_use_more_than_is_left() -> None:
    with capturing("shop") as handler:
        relay = Relay(handler, Limits(client_burst=3, client_rate=0.1))
        requests = [Request("POST", "/logs", "203.0.113.5", PAGE.get)] * 2
        # Both begin, and then their bodies arrive.
        assert [relay.begin(request) for request in requests] == [None, None]
        body = b'{"logs": [{"message": "m"}, {"message": "m"}, {"message": "m"}]}'
        assert [relay.post(request, body).status for request in requests] == [200, 429]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_share_grows_again_but_not_beyond_its_size() -> None:
    clock = Clock()
    shares = Shares(Limits(client_burst=10, client_rate=2), clock)
    shares.use("a", 14, 0)
    assert shares.wait("a") == 3
    clock.now = 2.5
    assert shares.wait("a") is None
    clock.now = 1000
    shares.use("a", 10, 0)
    assert shares.wait("a") == 1


def test_posts_that_are_read_at_the_same_time_are_admitted_one_by_one() -> None:
    shares = Shares(Limits(client_burst=10, client_rate=1), Clock())
    assert [shares.admit("a", 15, 0), shares.admit("a", 15, 0)] == [None, 6]


def test_bytes_count_as_entries() -> None:
    shares = Shares(Limits(client_burst=10, client_rate=1), Clock())
    shares.use("a", 1, 20 * 1024)
    assert shares.wait("a") == 11


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.5", "::ffff:203.0.113.6", False),
        ("203.0.113.5", "203.0.113.6", False),
        ("unknown", "unknown", True),
    ],
)
def test_the_addresses_of_one_network_of_ipv6_share(one: str, other: str, together: bool) -> None:
    shares = Shares(Limits(client_burst=1, client_rate=1), Clock())
    shares.use(one, 1, 0)
    assert (shares.wait(other) is not None) == together


def test_few_addresses_are_remembered() -> None:
    shares = Shares(Limits(), Clock())
    for number in range(ADDRESSES + 10):
        shares.wait(f"client {number}")
    assert len(shares._clients) == ADDRESSES


def test_keys_are_remembered_for_some_minutes_and_not_without_bound() -> None:
    clock = Clock()
    keys = Keys(clock)
    assert [keys.claim("k", b"1"), keys.claim("k", b"1"), keys.claim("k", b"2")] == [True, False, None]
    clock.now = SECONDS - 1
    assert keys.claim("k", b"1") is False
    clock.now = SECONDS
    assert keys.claim("k", b"1") is True
    for number in range(REMEMBERED + 10):
        keys.claim(str(number), b"1")
    assert len(keys._batches) == REMEMBERED
    assert keys.claim("k", b"1") is True
