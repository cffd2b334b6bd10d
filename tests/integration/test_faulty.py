"""The faulty server itself: each fault as a plain HTTP client sees it, and its honesty."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timezone
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import NamedTuple

import pytest

from tests.integration.behaviours import (
    Behaviour,
    answer,
    cut_after_body,
    cut_after_storing,
    cut_before_body,
    cut_during_body,
    hang,
    html_page,
    redirect,
    retry_after,
    slow_read,
    store_then_answer,
    trickle,
    truncated_answer,
    wrong_count,
)
from tests.integration.faulty import FaultyServer, refuse_records

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


def batch(*messages: str) -> bytes:
    return json.dumps({"logs": [{"message": message} for message in messages]}).encode()


def send(client: HTTPConnection, body: bytes, key: str | None = "k", **headers: str) -> Answer:
    """One POST on the connection that the client has, or a new one."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request("POST", "/logs", body, fields | ({"Idempotency-Key": key} if key else {}))
    response = client.getresponse()
    return Answer(response.status, response.read(), dict(response.headers))


def post(server: FaultyServer, body: bytes, key: str | None = "k", **headers: str) -> Answer:
    """One POST on a connection of its own."""
    with closing(HTTPConnection(*server.address, timeout=10)) as client:
        return send(client, body, key, **headers)


def messages(server: FaultyServer) -> list[str]:
    return [entry["message"] for entry in server.stored]


def in_background(call: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Runs `call` in a thread; the list receives what it raises."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except (OSError, HTTPException) as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_stores_a_batch_and_answers_with_its_count() -> None:
    with FaultyServer() as server:
        assert post(server, batch("a", "b")).body == b'{"status": "ok", "count": 2}'
    assert messages(server) == ["a", "b"]
    assert server.stored_keys == ["k"]


def test_remembers_each_request_as_it_arrived() -> None:
    before = time.monotonic()
    body = gzip.compress(batch("a"))
    with FaultyServer([answer(503)]) as server:
        post(server, body, "k1", Content_Encoding="gzip", X_Other="ü".encode().decode("latin-1"))
        [request] = server.wait_for_requests(1)
    assert (request.method, request.path, request.key) == ("POST", "/logs", "k1")
    assert request.headers["content-encoding"] == "gzip"
    assert request.body == body
    assert request.entries == [{"message": "a"}]
    assert before <= request.time <= time.monotonic()
    assert server.stored == []


def test_a_key_is_stored_once_and_its_repetition_answered_alike() -> None:
    with FaultyServer() as server:
        assert post(server, batch("a"), "k1") == post(server, batch("a"), "k1")
        post(server, batch("b"), "k2")
        post(server, batch("c"), None)
        post(server, batch("c"), None)
    assert messages(server) == ["a", "b", "c", "c"]
    assert server.stored_keys == ["k1", "k2"]


def test_keeps_a_connection_alive_over_requests() -> None:
    """Also after a request whose answer was an error."""
    with FaultyServer([answer(500)]) as server, closing(HTTPConnection(*server.address)) as client:
        assert send(client, batch("a"), "k1").status == 500
        sock = client.sock
        assert send(client, batch("b"), "k2").status == 200
        assert client.sock is sock
        assert sock is not None


def test_closes_the_connection_after_the_answer_when_told_so() -> None:
    with FaultyServer([answer(close=True)]) as server, closing(HTTPConnection(*server.address)) as client:
        assert send(client, batch("a")).headers["Connection"] == "close"
        assert client.sock is None


def test_follows_the_list_and_then_the_default() -> None:
    with FaultyServer([answer(503), answer(429)], default=answer(401)) as server:
        assert [post(server, batch("a")).status for _ in range(4)] == [503, 429, 401, 401]
        server.default = answer()
        assert post(server, batch("a")).status == 200


def test_a_rule_decides_by_request() -> None:
    with FaultyServer(lambda r: answer(415) if r.headers["Content-Encoding"] else answer()) as server:
        assert post(server, gzip.compress(batch("a")), Content_Encoding="gzip").status == 415
        assert post(server, batch("a")).status == 200
    assert messages(server) == ["a"]


def test_refuses_whole_batches_for_one_poison_record() -> None:
    with FaultyServer(refuse_records(lambda entry: entry["message"] == "poison", 422)) as server:
        assert post(server, batch("a", "poison"), "k1").status == 422
        assert post(server, batch("a"), "k2").status == 200
    assert messages(server) == ["a"]


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"logs": 3}', b"\xff"])
def test_claims_no_body_that_is_no_batch(body: bytes) -> None:
    with FaultyServer() as server:
        assert post(server, body).status == 400
        assert post(server, body, Content_Encoding="gzip").status == 400
    assert server.stored == []
    assert server.stored_keys == []


@pytest.mark.parametrize(
    ("behaviour", "stored"),
    [
        (cut_before_body(), []),
        (cut_during_body(), []),
        (cut_after_body(), []),
        (cut_after_storing(), ["a"]),
        (truncated_answer(), ["a"]),
    ],
    ids=lambda value: "" if isinstance(value, Behaviour) else ",".join(value) or "nothing",
)
def test_a_cut_is_an_error_and_stores_what_it_says(behaviour: Behaviour, stored: list[str]) -> None:
    with FaultyServer([behaviour]) as server:
        with pytest.raises((OSError, HTTPException)):
            post(server, batch("a"))
        assert messages(server) == stored
        assert post(server, batch("a")).status == 200
    assert messages(server) == ["a"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("behaviour", "arrived"),
    [(cut_before_body(), 0), (cut_during_body(), 500_000), (cut_after_body(), 1_000_000)],
)
def test_a_cut_leaves_the_rest_of_the_body_unread(behaviour: Behaviour, arrived: int) -> None:
    with FaultyServer([behaviour]) as server:
        with pytest.raises((OSError, HTTPException)):
            post(server, b" " * 1_000_000)
        [request] = server.wait_for_requests(1)
    assert len(request.body) == arrived
    assert request.entries == []


def test_a_rule_that_looks_at_the_headers_only_can_cut_before_the_body() -> None:
    with FaultyServer(lambda r: cut_before_body() if r.key == "k1" else answer()) as server:
        with pytest.raises((OSError, HTTPException)):
            post(server, batch("a"), "k1")
        assert server.wait_for_requests(1)[0].body == b""


def test_a_truncated_answer_announces_more_than_it_sends() -> None:
    with FaultyServer([truncated_answer()]) as server, pytest.raises(IncompleteRead) as caught:
        post(server, batch("a"))
    assert caught.value.partial == b'{"status": "ok", "count": 1'
    assert caught.value.expected == 1


def test_an_answer_other_than_2xx_stores_nothing_unless_told_so() -> None:
    with FaultyServer([answer(500), store_then_answer(500)]) as server:
        assert post(server, batch("a")).status == 500
        assert messages(server) == []
        assert post(server, batch("a")).status == 500
        assert messages(server) == ["a"]


def test_claims_a_wrong_count() -> None:
    with FaultyServer([wrong_count(7)]) as server:
        assert json.loads(post(server, batch("a")).body)["count"] == 7
    assert messages(server) == ["a"]


def test_answers_a_web_page() -> None:
    with FaultyServer([html_page()]) as server:
        page = post(server, batch("a"))
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
    assert server.stored == []


@pytest.mark.parametrize("status", [204, 299, 599])
def test_answers_any_status(status: int) -> None:
    with (
        FaultyServer([answer(status)]) as server,
        closing(HTTPConnection(*server.address)) as client,
    ):
        assert send(client, batch("a"), "k1").status == status
        assert send(client, batch("b"), "k2").status == 200


@pytest.mark.parametrize(
    ("behaviour", "status", "header", "value"),
    [
        (redirect("http://127.0.0.1:1/logs"), 307, "Location", "http://127.0.0.1:1/logs"),
        (retry_after(7), 503, "Retry-After", "7"),
        (
            retry_after(datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc), 429),
            429,
            "Retry-After",
            "Wed, 02 Jan 2030 03:04:05 GMT",
        ),
        (answer(401, "no", {"WWW-Authenticate": "Bearer"}, "text/plain"), 401, "WWW-Authenticate", "Bearer"),
    ],
)
def test_answers_with_headers(behaviour: Behaviour, status: int, header: str, value: str) -> None:
    with FaultyServer([behaviour]) as server:
        got = post(server, batch("a"))
    assert (got.status, got.headers[header]) == (status, value)
    assert server.stored == []


def test_trickles_the_whole_answer_byte_by_byte() -> None:
    body, pieces = batch("a"), [b""]
    with FaultyServer([trickle(0.0001)]) as server, socket.create_connection(server.address, 10) as client:
        client.sendall(b"POST /logs HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        while not pieces[-1].endswith(b"}"):
            pieces.append(client.recv(4096))
            assert pieces[-1]
    assert b"".join(pieces).startswith(b"HTTP/1.1 200 OK\r\n")
    # Some bytes may arrive together, when the client is slower than the trickle.
    assert len(pieces) > 20


def test_a_slow_read_gets_the_whole_body() -> None:
    body = batch("a" * 5000)
    with FaultyServer([slow_read(0.0001, piece=100)]) as server:
        assert post(server, body).status == 200
        assert server.requests[0].body == body


def test_hangs_until_the_event_and_stores_then() -> None:
    event = threading.Event()
    with FaultyServer([hang(event)]) as server:
        thread, errors = in_background(lambda: post(server, batch("a")))
        server.wait_for_requests(1)
        assert server.stored == []
        event.set()
        server.wait_for_stored(1)
        thread.join()
    assert errors == []


def test_hangs_after_storing() -> None:
    with FaultyServer([hang(stored=True)]) as server:
        thread, errors = in_background(lambda: post(server, batch("a")))
        server.wait_for_stored(1)
        assert thread.is_alive()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize("end", [FaultyServer.close, FaultyServer.refuse])
@pytest.mark.parametrize(
    "behaviour",
    [hang(), hang(threading.Event()), trickle(1000), slow_read(1000)],
    ids=["hang", "event", "trickle", "read"],
)
def test_closing_and_refusing_interrupt_whatever_goes_on(
    behaviour: Behaviour, end: Callable[[FaultyServer], None]
) -> None:
    """A thousand seconds of waiting end at once, and nothing is stored on the way out."""
    arrived = threading.Event()

    def rule(request: object) -> Behaviour:
        arrived.set()
        return behaviour

    with FaultyServer(rule) as server:
        thread, errors = in_background(lambda: post(server, batch("a")))
        assert arrived.wait(10)
        if not behaviour.read_delay:
            server.wait_for_requests(1)
        if behaviour.trickle:
            server.wait_for_stored(1)
        end(server)
        thread.join()
        assert len(errors) == 1
        assert messages(server) == (["a"] if behaviour.trickle else [])


def test_close_ends_connections_that_are_idle_or_never_asked_anything() -> None:
    with FaultyServer() as server, closing(HTTPConnection(*server.address)) as client:
        send(client, batch("a"))
        with socket.create_connection(server.address) as silent:
            server.close()
            # Reset, if it was never accepted.
            with suppress(ConnectionResetError):
                assert silent.recv(1) == b""
    server.close()


def test_refuses_and_resumes_on_the_same_port() -> None:
    with FaultyServer() as server, closing(HTTPConnection(*server.address)) as client:
        for key in ("k1", "k2"):
            assert send(client, batch("a"), key).status == 200
            server.refuse()
            server.refuse()
            with pytest.raises((OSError, HTTPException)):
                send(client, batch("b"), "lost")
            client.close()
            with pytest.raises(ConnectionRefusedError):
                post(server, batch("b"), "lost")
            server.resume()
            server.resume()
    with pytest.raises(ConnectionRefusedError):
        post(server, batch("b"), "lost")
    server.resume()
    assert server.stored_keys == ["k1", "k2"]


def test_waiting_in_vain_says_what_is_missing() -> None:
    with FaultyServer() as server:
        with pytest.raises(TimeoutError, match=r"0 stored entries after 0\.0 s, expected 2"):
            server.wait_for_stored(2, timeout=0.0)
        with pytest.raises(TimeoutError, match="0 requests"):
            server.wait_for_requests(1, timeout=0.0)


def test_many_clients_at_once_lose_and_double_nothing() -> None:
    clients, posts = 8, 25
    with FaultyServer([answer(503)] * 40) as server:

        def work(client_number: int) -> None:
            with closing(HTTPConnection(*server.address, timeout=10)) as client:
                for number in range(posts):
                    key = f"{client_number}-{number}"
                    while send(client, batch(key), key).status != 200:
                        pass

        threads = [in_background(partial(work, n)) for n in range(clients)]
        assert len(server.wait_for_stored(clients * posts)) == clients * posts
        for thread, errors in threads:
            thread.join()
            assert errors == []
    assert sorted(messages(server)) == sorted(server.stored_keys)
    assert len(set(server.stored_keys)) == clients * posts
    assert len(server.requests) == clients * posts + 40


def test_speaks_tls_and_is_closed_as_readily(certificate: tuple[str, str]) -> None:
    trust = ssl.create_default_context(cafile=certificate[0])
    with (
        FaultyServer([answer()], default=hang(stored=True), tls=certificate) as server,
        closing(HTTPSConnection(*server.address, timeout=10, context=trust)) as client,
    ):
        assert send(client, batch("a"), "k1").status == 200
        thread, errors = in_background(lambda: send(client, batch("b"), "k2"))
        server.wait_for_stored(2)
        server.close()
        thread.join()
        assert len(errors) == 1
    assert server.url.startswith("https://127.0.0.1:")
    assert messages(server) == ["a", "b"]


def test_a_client_that_does_not_trust_the_certificate_reaches_nothing(certificate: tuple[str, str]) -> None:
    with FaultyServer(tls=certificate) as server:
        with (
            closing(HTTPSConnection(*server.address, timeout=10)) as client,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            send(client, batch("a"))
        assert server.requests == []
