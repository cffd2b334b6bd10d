"""Names to addresses: asked once, within the time, with the scope that an address has, the good one first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import httpcore
import pytest

from logcollector_handler.delivery import resolver
from logcollector_handler.delivery.resolver import Resolver, address_of, plain_host, without_scope

NEW = "192.0.2.1"


def soon() -> float:
    return 30.0


def answering(*addresses: str) -> Callable[..., Any]:
    return lambda *_, **__: [(0, 0, 0, "", (address, 80)) for address in addresses]


@pytest.fixture
def _no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))


@pytest.mark.usefixtures("_no_look_up")
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%25eth0", "fe80::1%eth0"),
        ("fe80::1%25", "fe80::1%25"),
        ("fe80::1%2", "fe80::1%2"),
    ],
)
def test_an_address_is_not_looked_up_and_keeps_its_scope(host: str, address: str) -> None:
    assert Resolver().addresses(host, 80, soon) == [address]


def test_the_scope_of_a_link_local_address_is_kept_when_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, 0, 0, "", ("fe80::2", 80, 0, 3)),
        (socket.AF_INET6, 0, 0, "", ("2001:db8::2", 80, 0, 0)),
        (socket.AF_INET, 0, 0, "", (NEW, 80)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert Resolver().addresses("logs.test", 80, soon) == ["fe80::2%3", "2001:db8::2", NEW]


def test_a_host_is_written_as_the_system_takes_it() -> None:
    assert [plain_host(each) for each in ("logs.test", "fe80::1%25eth0")] == ["logs.test", "fe80::1%eth0"]
    assert [without_scope(each) for each in ("logs.test", "fe80::1%eth0")] == ["logs.test", "fe80::1"]
    assert address_of(("fe80::1%eth0", 80, 0, 2)) == "fe80::1%eth0"


def test_a_name_that_was_not_found_is_an_error_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(httpcore.ConnectError, match="was not found"):
        Resolver().addresses("logs.test", 80, soon)


def test_what_cannot_be_a_name_is_no_error_of_the_connection(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnicodeError):
        Resolver().addresses("a..b", 80, soon)
    assert capfd.readouterr().err == ""


def test_a_resolver_that_hangs_is_waited_for_within_the_time_and_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    answer = threading.Event()

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        answer.wait(60)
        return answering(NEW)()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names = Resolver()
    for _ in range(3):
        with pytest.raises(httpcore.TimeoutException):
            names.addresses("logs.test", 80, lambda: 0.05)
    answer.set()
    assert names.addresses("logs.test", 80, soon) == [NEW]
    assert asked == ["logs.test"]


class NoThreads:
    """While `lasts`, no look-up can start a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] = RuntimeError) -> None:
        self.lasts = True
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if self.lasts:
                raise error("can't start new thread")
            real(thread)

        monkeypatch.setattr(resolver._LookUp, "start", start)


def test_a_thread_that_could_not_be_started_once_does_not_stop_connecting_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("192.0.2.9"))
    names = Resolver()
    assert names.addresses("logs.test", 80, soon) == ["192.0.2.9"]
    threads = NoThreads(monkeypatch)
    assert names.addresses("logs.test", 80, soon) == ["192.0.2.9"], "the last addresses serve"
    threads.lasts = False
    monkeypatch.setattr(socket, "getaddrinfo", answering(NEW))
    assert names.addresses("logs.test", 80, lambda: 5.0) == [NEW]


def test_an_error_out_of_the_start_of_the_thread_does_not_stop_connecting_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As from a signal handler, or without memory."""
    monkeypatch.setattr(socket, "getaddrinfo", answering(NEW))
    names = Resolver()
    threads = NoThreads(monkeypatch, MemoryError)
    with pytest.raises(MemoryError):
        names.addresses("logs.test", 80, soon)
    threads.lasts = False
    assert names.addresses("logs.test", 80, lambda: 5.0) == [NEW]


def test_without_a_thread_and_without_known_addresses_the_caller_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering(NEW))
    NoThreads(monkeypatch)
    names = Resolver()
    assert [names.addresses("logs.test", 80, soon) for _ in range(2)] == [[NEW], [NEW]]


def test_the_address_that_took_the_last_connection_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    names = Resolver()
    names.took_connection("logs.test", 80, "192.0.2.3")
    assert names.addresses("logs.test", 80, soon) == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    assert names.addresses("logs.test", 81, soon)[0] == "192.0.2.1", "of another port nothing is known"
    monkeypatch.setattr(socket, "getaddrinfo", answering("192.0.2.1", "192.0.2.2"))
    assert names.addresses("logs.test", 80, soon) == ["192.0.2.1", "192.0.2.2"], "the name does not have it any more"
