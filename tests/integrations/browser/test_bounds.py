"""Who may post to a relay, and how much."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest

from logcollector_handler.integrations.asgi import Message
from logcollector_handler.integrations.browser import BrowserRelay, Limits, WsgiBrowserRelay
from logcollector_handler.integrations.browser.bodies import Bodies, Body
from logcollector_handler.integrations.browser.keys import REMEMBERED, SECONDS, Keys
from logcollector_handler.integrations.browser.limits import ADDRESSES, Shares
from logcollector_handler.integrations.browser.relay import Relay, Request
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing
from tests.integrations.browser.conftest import Make
from tests.integrations.browser.sites import PAGE, Site

BODY = b'{"logs": [{"message": "m"}]}'
SCOPE = {"type": "http", "method": "POST", "path": "/logs", "headers": [(b"sec-fetch-site", b"same-origin")]}


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

    asyncio.run(relay(SCOPE, receive, send))
    assert len(read) == 4
    assert statuses[0]["status"] == 413  # type: ignore[index]  # a message


def test_bodies_that_arrive_at_the_same_time_are_bounded_together() -> None:
    """The one that began first is given up, and its memory is free before its client sends more."""
    import asyncio

    async def slow_posts(handler: CapturingHandler) -> list[int]:
        relay = BrowserRelay(handler, limits=Limits(held_bytes=100))
        sent: list[asyncio.Queue[dict[str, object]]] = [asyncio.Queue() for _ in range(3)]
        statuses = []

        async def post(number: int) -> None:
            async def send(message: Message) -> None:
                if "status" in message:
                    statuses.append((number, message["status"]))

            await relay(SCOPE, sent[number].get, send)

        posts = [asyncio.create_task(post(number)) for number in range(3)]
        for pieces in (BODY[:10], b" " * 40):
            for one in sent:
                one.put_nowait({"type": "http.request", "body": pieces, "more_body": True})
            await asyncio.sleep(0)
        for one in sent:
            one.put_nowait({"type": "http.request", "body": BODY[10:]})
        await asyncio.gather(*posts)
        return [status for _, status in sorted(statuses)]

    with capturing("shop") as handler:
        assert asyncio.run(slow_posts(handler)) == [503, 503, 200]
        assert len(handler.entries) == 1


def test_a_body_of_wsgi_that_others_need_the_room_of_is_answered_503() -> None:
    class Slow(io.BytesIO):
        """While this body is read, another one comes."""

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() == 10:
                statuses.append(post(io.BytesIO(BODY)))
            return super().read(10)

    def post(stream: io.BytesIO) -> str:
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/logs", "wsgi.input": stream, "CONTENT_LENGTH": "28"}
        answered: list[str] = []

        def start_response(status: str, *_: object) -> Any:
            answered.append(status)

        relay({**environ, "HTTP_SEC_FETCH_SITE": "same-origin"}, start_response)
        return answered[0]

    statuses: list[str] = []
    with capturing("shop") as handler:
        relay = WsgiBrowserRelay(handler, limits=Limits(held_bytes=28))
        assert post(Slow(BODY)) == "503 Service Unavailable"
        assert (statuses, len(handler.entries)) == (["200 OK"], 1)


def test_a_body_counts_until_it_is_answered_and_only_what_still_arrives_is_given_up() -> None:
    bodies = Bodies(10)
    with bodies.one() as whole, bodies.one() as slow, bodies.one() as last:
        bodies.add(whole, b"x" * 6)
        bodies.done(whole)
        bodies.add(slow, b"x" * 4)
        bodies.add(last, b"x" * 4)
        assert [len(whole), len(slow), len(last)] == [6, 0, 4]
        bodies.add(slow, b"x")
        assert (slow.given_up, len(slow)) == (True, 0)
        bodies.add(last, b"x")
        assert [whole.given_up, last.given_up] == [False, True]
    with bodies.one() as one:
        bodies.add(one, b"x" * 10)
        assert not one.given_up


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("client_rate", 0, "a number over 0"),
        ("rate", 0.0, "a number over 0"),
        ("rate", -1, "a number over 0"),
        ("client_rate", float("nan"), "a number over 0"),
        ("rate", float("inf"), "a number over 0"),
        ("client_burst", 0.5, "a number from 1 on"),
        ("burst", "many", "a number from 1 on"),
        ("burst", 10**400, "a number from 1 on"),
        ("body_bytes", 1e6, "a whole number from 1 on"),
        ("held_bytes", 0, "a whole number from 1 on"),
    ],
)
def test_a_limit_that_is_wrong_is_refused_where_it_is_set(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} of Limits is .*; allowed: {allowed}"):
        Limits(**{name: value})


def test_a_share_that_hardly_grows_asks_a_client_to_come_again_in_an_hour() -> None:
    shares = Shares(Limits(client_burst=1, client_rate=5e-324), Clock())
    shares.use("a", 1, 0)
    assert shares.wait("a") == 3600


def test_a_client_that_goes_away_is_not_answered() -> None:
    import asyncio

    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    asyncio.run(BrowserRelay()(SCOPE, receive, send))
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
        body = Body(b'{"logs": [{"message": "m"}, {"message": "m"}, {"message": "m"}]}')
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
