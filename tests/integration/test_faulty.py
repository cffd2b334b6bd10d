"""The faulty server itself: it stores what it says, cuts where it says, and ends when it is asked to.

What belongs here: what other tests rely on without looking. That an answer has the status, the headers or the body
that a script names shows in the tests that use it.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException

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
    slow_read,
    store_then_answer,
    trickle,
    truncated_answer,
)
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.integration.programs import messages

pytestmark = pytest.mark.integration

#: What a client gets to see of a connection that is cut or refused.
BROKEN = (OSError, HTTPException)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def batch(*texts: str) -> bytes:
    return json.dumps({"logs": [{"message": text} for text in texts]}).encode()


def send(client: HTTPConnection, body: bytes, key: str, encoding: str = "") -> int:
    """The status of the answer to one POST, once all of the answer has been read."""
    client.request("POST", "/logs", body, {"Idempotency-Key": key, "Content-Encoding": encoding})
    response = client.getresponse()
    response.read()
    return response.status


def post(server: FaultyServer, body: bytes, key: str = "k", encoding: str = "") -> int:
    with closing(HTTPConnection(*server.address, timeout=60)) as client:
        return send(client, body, key, encoding)


@pytest.mark.parametrize(
    ("behaviour", "stored"),
    [
        (answer(), True),
        (answer(503), False),
        (store_then_answer(503), True),
        (html_page(), False),
        (trickle(0.0001), True),
        (slow_read(0.0001, piece=7), True),
    ],
)
def test_an_answer_stores_the_batch_if_the_script_says_so(behaviour: Behaviour, stored: bool) -> None:
    with FaultyServer([behaviour]) as server:
        assert post(server, gzip.compress(batch("a")), "k1", "gzip") == behaviour.status
        assert messages(server) == (["a"] if stored else [])
        assert post(server, batch("a"), "k1") == 200
    assert messages(server) == ["a"], "a batch is stored once for each key"
    assert server.stored_keys == ["k1"]


@pytest.mark.parametrize(
    ("behaviour", "arrived", "stored"),
    [
        (cut_before_body(), 0.0, False),
        (cut_during_body(), 0.5, False),
        (cut_after_body(), 1.0, False),
        (cut_after_storing(), 1.0, True),
        (truncated_answer(), 1.0, True),
    ],
)
def test_a_cut_happens_at_its_place_and_is_an_error(behaviour: Behaviour, arrived: float, stored: bool) -> None:
    body = batch("a" * 1_000_000)
    with FaultyServer([behaviour]) as server:
        with pytest.raises(BROKEN):
            post(server, body)
        [request] = server.wait_for_requests(1)
        assert len(request.body) == int(len(body) * arrived)
        assert len(server.stored) == stored
        assert post(server, batch("a")) == 200


def test_a_rule_can_tell_that_the_sender_has_gone() -> None:
    gone: list[bool] = []
    arrived, closed = threading.Event(), threading.Event()

    def rule(request: Request) -> Behaviour:
        assert request.body
        gone.append(request.sender_has_gone())
        arrived.set()
        assert closed.wait(60)
        gone.append(request.sender_has_gone())
        return answer()

    with FaultyServer(rule) as server:
        client = HTTPConnection(*server.address, timeout=60)
        client.request("POST", "/logs", batch("a"))
        assert arrived.wait(60)
        client.close()
        closed.set()
        server.wait_for_stored(1)
    assert gone == [False, True]


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"logs": 3}', b"\xff"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_that_is_not_a_batch_is_not_accepted(body: bytes, encoding: str) -> None:
    with FaultyServer() as server:
        assert post(server, body, encoding=encoding) == 400
        assert (server.stored, server.stored_keys) == ([], [])


@pytest.mark.parametrize("end", [FaultyServer.close, FaultyServer.refuse])
@pytest.mark.parametrize(
    ("behaviour", "stored"),
    [
        (hang(), []),
        (hang(threading.Event()), []),
        (hang(stored=True), ["a"]),
        (trickle(1000), ["a"]),
        (slow_read(1000), []),
    ],
    ids=["hangs", "hangs until an event", "hangs after storing", "trickles", "reads slowly"],
)
def test_the_end_of_the_server_interrupts_a_request_and_stores_nothing_more(
    behaviour: Behaviour, stored: list[str], end: Callable[[FaultyServer], None]
) -> None:
    arrived, cut = threading.Event(), threading.Event()

    def rule(request: object) -> Behaviour:
        arrived.set()
        return behaviour

    def ask() -> None:
        with pytest.raises(BROKEN):
            post(server, batch("a"))
        cut.set()

    with FaultyServer(rule) as server:
        asking = threading.Thread(target=ask)
        asking.start()
        assert arrived.wait(60)
        server.wait_for_stored(len(stored))
        end(server)
        asking.join()
        assert cut.is_set()
        assert messages(server) == stored


def test_a_connection_stays_open_after_an_error_and_a_refusing_server_comes_back_on_its_port() -> None:
    with (
        FaultyServer([answer(500)], default=answer(503)) as server,
        closing(HTTPConnection(*server.address, timeout=60)) as client,
    ):
        assert send(client, batch("a"), "k1") == 500
        used = client.sock
        server.default = answer()
        assert send(client, batch("a"), "k1") == 200
        assert client.sock is used
        server.refuse()
        with pytest.raises(BROKEN):
            send(client, batch("b"), "k2")
        with pytest.raises(ConnectionRefusedError):
            post(server, batch("b"), "k2")
        server.resume()
        assert post(server, batch("b"), "k2") == 200
    with pytest.raises(ConnectionRefusedError):
        post(server, batch("c"), "k3")
    assert messages(server) == ["a", "b"]


def test_many_clients_at_once_lose_and_double_nothing() -> None:
    clients, posts = 8, 25
    with FaultyServer([answer(503)] * 40) as server:

        def work(number: int) -> None:
            with closing(HTTPConnection(*server.address, timeout=60)) as client:
                for key in (f"{number}-{one}" for one in range(posts)):
                    while send(client, batch(key), key) != 200:
                        pass

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(messages(server)) == sorted(server.stored_keys)
    assert len(set(server.stored_keys)) == clients * posts
    assert len(server.requests) == clients * posts + 40
