"""The network below the HTTP client: looking up names, and the time of a request."""

from __future__ import annotations

import contextlib
import socket
import threading
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
    made.begin(0, 30)
    return made


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_not_looked_up(backend: DeadlineBackend, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    assert backend._resolve(address, 80) == [address]


def test_a_name_that_cannot_be_encoded_was_not_found(
    backend: DeadlineBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(httpcore.ConnectError, match="was not found"):
        backend._resolve("a..b", 80)
    assert capfd.readouterr().err == ""


def test_a_resolver_that_hangs_is_waited_for_within_the_time_and_not_asked_twice(
    backend: DeadlineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answer = threading.Event()

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        answer.wait(30)
        return [(0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for _ in range(3):
        backend.begin(0, 0.2)
        with pytest.raises(httpcore.TimeoutException):
            backend._resolve("logs.test", 80)
    answer.set()
    backend.begin(0, 30)
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]
    assert asked == ["logs.test"]


def test_when_no_thread_can_start_the_last_addresses_serve(
    backend: DeadlineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the interpreter, where a look-up would run without a bound in the thread that exits."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.1", 80))])
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(network._LookUp, "start", start)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]


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
    backend.begin(0, 5)
    start = clock.now
    with pytest.raises(httpcore.TimeoutException):
        network._DeadlineStream(peer, backend).write(b"x" * 4_000_000)
    assert 5 <= clock.now - start < 7, "and no longer than the slice that was under way"
    assert peer.received < 100_000


class DeadPeer(httpcore.NetworkStream):
    """Takes a number of writes, then breaks."""

    def __init__(self, takes: int) -> None:
        self._takes = takes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._takes -= 1
        if self._takes < 0:
            raise httpcore.WriteError("broken")


@pytest.mark.parametrize(("takes", "arrived"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_request_counts_as_arrived_once_its_last_bytes_were_handed_over(
    backend: DeadlineBackend, takes: int, arrived: bool
) -> None:
    """The bytes of its headers are counted, too: in doubt it arrived."""
    body = b"x" * 20_000
    backend.begin(len(body), 30)
    stream = network._DeadlineStream(DeadPeer(takes), backend)
    with contextlib.suppress(httpcore.WriteError):
        for part in (b"headers", body):
            stream.write(part)
    assert backend.has_sent_all is arrived
