"""The network below the client: names, and what is let go in a forked child."""

from __future__ import annotations

import socket
import threading
from typing import Any

import httpcore
import pytest

from logcollector_handler.delivery import network
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.network import DeadlineBackend
from tests.delivery.fakes import FakeClock


@pytest.fixture
def backend() -> DeadlineBackend:
    made = DeadlineBackend(SystemClock())
    made.deadline = SystemClock.monotonic() + 30
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
        backend.deadline = SystemClock.monotonic() + 0.2
        with pytest.raises(httpcore.TimeoutException):
            backend._resolve("logs.test", 80)
    answer.set()
    backend.deadline = SystemClock.monotonic() + 30
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]
    assert asked == ["logs.test"]


def test_when_no_thread_can_start_the_last_addresses_serve(
    backend: DeadlineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the interpreter: nothing bounds a look-up in the thread that waits for the exit."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.1", 80))])
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(network._LookUp, "start", start)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    assert backend._resolve("logs.test", 80) == ["192.0.2.1"]


class SlowPeer(httpcore.NetworkStream):
    """Reads ten kilobytes a second, steadily: each send of a write goes on, all of them together take long."""

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
    backend.deadline = clock.now + 5
    start = clock.now
    with pytest.raises(httpcore.TimeoutException):
        network._DeadlineStream(peer, backend).write(b"x" * 4_000_000)
    assert 5 <= clock.now - start < 7, "and no longer than the slice that was under way"
    assert peer.received < 100_000
