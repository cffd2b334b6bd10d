"""The network below the HTTP client: the time of a request, its addresses, and what of it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpcore
import pytest

from logcollector_handler.delivery import network
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.network import DeadlineBackend
from tests.delivery.harness import FakeClock


@pytest.fixture
def backend() -> DeadlineBackend:
    made = DeadlineBackend(SystemClock())
    made.begin(30)
    return made


def sent_all(backend: DeadlineBackend) -> bool:
    """Not narrowed by type checkers, which take a property for a constant."""
    return backend.has_sent_all


class SlowPeer(httpcore.NetworkStream):
    """Reads ten kilobytes a second, steadily: no single send waits long, all of them together do."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.received = 0

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._clock.advance(len(buffer) / 10_240)
        self.received += len(buffer)


def test_a_peer_that_reads_slowly_but_steadily_holds_a_request_no_longer_than_its_time() -> None:
    clock = FakeClock()
    peer = SlowPeer(clock)
    backend = DeadlineBackend(clock)
    backend.begin(5)
    start = clock.now
    assert not backend.is_over
    with pytest.raises(httpcore.TimeoutException):
        network._DeadlineStream(peer, backend).write(b"x" * 4_000_000)
    assert 5 <= clock.now - start < 7, "and no longer than the slice that was under way"
    assert peer.received < 100_000
    assert backend.is_over


class DeadPeer(httpcore.NetworkStream):
    """Takes a number of writes, then breaks."""

    def __init__(self, takes: int) -> None:
        self._takes = takes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._takes -= 1
        if self._takes < 0:
            raise httpcore.WriteError("broken")


@pytest.mark.parametrize(("takes", "arrived"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_a_request_counts_as_arrived_once_the_last_bytes_of_its_body_were_handed_over(
    backend: DeadlineBackend, takes: int, arrived: bool
) -> None:
    """Headers, however long they are, and a CONNECT to a proxy do not count. The body is of two slices and its end."""
    stream = network._DeadlineStream(DeadPeer(takes), backend)
    body = b"x" * 20_000
    backend.attempt()
    with contextlib.suppress(httpcore.WriteError):
        stream.write(b"headers" * 2000)
        assert not sent_all(backend)
        backend.body_follows(len(body))
        stream.write(body)
    assert backend.has_begun_body is (takes > 0)
    assert backend.has_sent_all is arrived


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is in the buffer")


@pytest.fixture
def unread(backend: DeadlineBackend) -> Iterator[tuple[httpcore.NetworkStream, socket.socket]]:
    """A connection whose peer has read nothing so far, and the peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream = backend.connect_tcp("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        backend.attempt()
        with peer:
            yield stream, peer
        stream.close()


@linux
@pytest.mark.parametrize("size", [60_000, 400_000])
def test_the_end_of_a_body_of_several_slices_waits_until_the_rest_is_out(
    backend: DeadlineBackend, unread: tuple[httpcore.NetworkStream, socket.socket], size: int
) -> None:
    """For a large one, until the peer has it."""
    stream, peer = unread
    body = b"x" * size
    backend.begin(0.05)
    backend.body_follows(len(body))
    with pytest.raises(httpcore.TimeoutException):
        stream.write(body)
    assert not sent_all(backend), "though the buffers take it"
    backend.begin(60)
    backend.attempt()
    backend.body_follows(len(body))
    received = bytearray()

    def read() -> None:
        while len(received) < 2 * len(body) - network._END:
            received.extend(peer.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    stream.write(body)
    assert sent_all(backend)
    reader.join(60)


@linux
def test_a_request_that_was_given_up_never_arrives_whole_although_a_forked_child_holds_the_connection(
    backend: DeadlineBackend, unread: tuple[httpcore.NetworkStream, socket.socket]
) -> None:
    """As one that was forked in C does until it logs: so the connection is not reset when it is closed here."""
    stream, peer = unread
    backend.begin(0.05)
    backend.body_follows(60_000)
    assert backend._socket is not None
    with backend._socket.dup():
        with pytest.raises(httpcore.TimeoutException):
            stream.write(b"x" * 60_000)
        stream.close()
        received = 0
        peer.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while received < 60_000:
                received += len(peer.recv(65536))
    assert 0 < received < 60_000


def _drain(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


@linux
def test_what_is_left_of_a_request_that_was_given_up_is_not_sent_once_its_connection_is_closed(
    backend: DeadlineBackend, unread: tuple[httpcore.NetworkStream, socket.socket]
) -> None:
    stream, peer = unread
    backend.begin(0.05)
    backend.body_follows(400_000)
    with pytest.raises(httpcore.TimeoutException):
        stream.write(b"x" * 400_000)
    stream.close()
    peer.settimeout(60)
    with pytest.raises(ConnectionResetError):
        _drain(peer)


@linux
@pytest.mark.parametrize("how", ["resets", "closes its side"])
def test_the_end_of_a_large_body_does_not_wait_for_a_peer_that_closes(
    backend: DeadlineBackend, unread: tuple[httpcore.NetworkStream, socket.socket], how: str
) -> None:
    """It has seen enough, and may have answered."""
    stream, peer = unread
    backend.begin(3600)
    backend.body_follows(400_000)
    stream.write(b"x" * 300_000)
    if how == "resets":
        peer.close()  # Without having read what came.
    else:
        peer.shutdown(socket.SHUT_WR)
    with contextlib.suppress(httpcore.WriteError):
        stream.write(b"x" * 100_000)
    assert not backend.is_over


# Addresses


def test_a_certificate_is_asked_for_by_the_address_without_its_scope(backend: DeadlineBackend) -> None:
    asked: list[str | None] = []

    class Peer(ConnectedPeer):
        def start_tls(
            self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
        ) -> httpcore.NetworkStream:
            asked.append(server_hostname)
            return self

    for host in ("fe80::1%25eth0", "logs.test"):
        backend.watch(Peer()).start_tls(ssl.create_default_context(), host)
    assert asked == ["fe80::1", "logs.test"]


@pytest.fixture
def dial(backend: DeadlineBackend, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Connects to `logs.test`, whose addresses are `.1` to `.3`, some of which are dead; which were tried."""
    found = [(0, 0, 0, "", (f"192.0.2.{number}", 80)) for number in (1, 2, 3)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    def dial(*dead: int) -> list[str]:
        tried: list[str] = []
        shares: list[float] = []

        def connect_tcp(_: Any, host: str, port: int, timeout: float, *__: Any) -> httpcore.NetworkStream:
            tried.append(host.rpartition(".")[2])
            shares.append(timeout)
            if int(tried[-1]) in dead:
                raise httpcore.ConnectTimeout("timed out")
            return ConnectedPeer()

        monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
        backend.begin(30)
        try:
            backend.connect_tcp("logs.test", 80)
        finally:
            assert all(share <= 30 / (3 - number) for number, share in enumerate(shares)), "time is left for the others"
        return tried

    return dial


class ConnectedPeer(httpcore.NetworkStream):
    """Its socket is closed already."""

    def get_extra_info(self, info: str) -> object:
        with socket.socket() as sock:
            return sock


def test_dead_addresses_cost_their_share_once_and_the_good_one_is_tried_first_from_then_on(
    dial: Callable[..., list[str]],
) -> None:
    assert dial(1, 2) == ["1", "2", "3"]
    assert dial(1, 2) == ["3"]
    assert dial(3) == ["3", "1"], "the good one died: the others are tried"
    assert dial() == ["1"]


def test_where_all_addresses_are_dead_each_is_tried_and_the_last_error_counts(
    dial: Callable[..., list[str]],
) -> None:
    for _ in range(2):
        with pytest.raises(httpcore.ConnectTimeout):
            dial(1, 2, 3)
    assert dial(2, 3) == ["1"]
