"""Connections to a real server: slow, cut, refused, kept open, encrypted and abandoned ones."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace

import pytest

from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.delivery.harness import WIRE, Bench
from tests.integration import behaviours
from tests.integration.behaviours import Behaviour
from tests.integration.faulty import FaultyServer
from tests.integration.rig import Rig, SkippingClock, make_rig

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("what", "arrived"),
    [
        (behaviours.cut_after_body(), True),
        (behaviours.cut_after_storing(), True),
        (behaviours.hang(stored=True), True),
        (behaviours.truncated_answer(), True),
        (behaviours.cut_before_body(), False),
        (behaviours.slow_read(0.2, 16), False),
    ],
    ids=["cut after the body", "cut after it stored", "hangs after it stored", "answer cut short", "cut", "slow"],
)
def test_a_request_arrived_for_all_we_know_when_all_of_it_was_sent(rig: Rig, what: Behaviour, arrived: bool) -> None:
    rig.server.default = what
    # What is to be seen not to arrive is more than the buffers of the system take.
    body = b'{"logs":[]}' + b" " * (0 if arrived else 30_000_000)
    answer = rig.bench.transport.post("a", body, False, 0.4)
    assert (answer.status, answer.arrived) == (None, arrived)


def test_a_trickling_server_holds_a_request_no_longer_than_its_time(rig: Rig) -> None:
    rig.server.default = behaviours.trickle(5)
    rig.put("a", "one")
    start = time.monotonic()
    rig.bench.step()
    assert time.monotonic() - start < 60, "the answer takes over ten minutes at this pace"
    assert rig.bench.stats().delivered == 0


def test_a_server_that_reads_slowly_holds_a_request_no_longer_than_its_time(rig: Rig) -> None:
    rig.server.default = behaviours.slow_read(0.2, 1024)
    rig.put("a", *("x" * 1000 for _ in range(4000)))
    start = time.monotonic()
    rig.bench.step()
    assert time.monotonic() - start < 60, "4 MB take over ten minutes at this pace"


def test_a_batch_that_was_read_too_slowly_is_sent_again(rig: Rig) -> None:
    rig.server._script.append(behaviours.slow_read(0.2, 16))
    rig.put("a", *(f"m{number}" for number in range(500)))
    rig.run(10)
    assert rig.stored == [f"m{number}" for number in range(500)]
    assert set(rig.keys) == {"a"}


def test_an_unreachable_server_is_tried_until_it_is_there(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server.refuse()
    rig.put("a", "one")
    assert rig.run(120).pending == 1
    rig.server.resume()
    assert rig.run(31).delivered == 1
    assert rig.stored == ["one"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_server_that_restarts_under_an_open_connection_costs_one_attempt(rig: Rig) -> None:
    rig.put("a", "one")
    rig.run()
    rig.server.refuse()
    rig.server.resume()
    rig.put("b", "two")
    rig.run(2)
    assert rig.stored == ["one", "two"]


def test_one_connection_serves_all_batches(rig: Rig) -> None:
    sockets = set()
    for number in range(5):
        rig.put(f"b{number}", "x")
        rig.run()
        sockets.add(rig.bench.transport._network._socket)  # type: ignore[attr-defined]  # the real one's
    assert len(rig.server.requests) == 5
    assert len(sockets) == 1


def test_a_request_that_hangs_is_cut_short_by_the_exit() -> None:
    with make_rig(timeout=600.0) as rig:
        rig.server.default = behaviours.hang()
        rig.put("a", "one")
        rig.bench.sender.exit(rig.bench.clock.now + 0.1)
        start = time.monotonic()
        rig.bench.run()
        assert time.monotonic() - start < 60


def test_tls_is_verified_and_a_ca_file_is_what_makes_it_trust(
    certificate: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyServer(tls=certificate) as server:
        for verify, delivered in ((True, 0), (certificate[0], 1), (False, 1)):
            settings = replace(Settings(), server_url=server.url, verify=verify)
            clock = SkippingClock()
            transport = HttpTransport(settings, WIRE, clock)
            bench = Bench(settings=settings, clock=clock, transport=transport)  # type: ignore[arg-type]
            bench.put(f"b{verify}", "one")
            bench.run()
            assert bench.stats().delivered == delivered
            transport.close()
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err


def inode_of(descriptor: int) -> int | None:
    """None if it is closed. The server, in this process too, may have taken the number for a socket of its own."""
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def test_an_abandoned_handshake_is_closed_too(certificate: tuple[str, str]) -> None:
    """A child that is forked during the TLS handshake must find the connection, though no object refers to it yet."""
    with FaultyServer(tls=certificate) as server:
        settings = replace(Settings(), server_url=server.url, verify=False)
        transport = HttpTransport(settings, WIRE, SkippingClock())
        network = transport._network
        network.begin(30)
        stream = network.connect_tcp("127.0.0.1", int(server.url.rpartition(":")[2]))
        raw = stream.get_extra_info("socket")
        assert isinstance(raw, socket.socket)
        # As the TLS handshake does: another object takes the descriptor over.
        descriptor = raw.detach()
        inode = os.fstat(descriptor).st_ino
        transport.abandon()
        assert inode_of(descriptor) != inode


def test_an_abandoned_connection_is_closed_without_a_word(rig: Rig) -> None:
    """As a forked child does with the parent's connection: the server gets no goodbye."""
    rig.put("a", "one")
    rig.run()
    assert threading.active_count() >= 1
    transport = rig.bench.transport
    sock = transport._network._socket  # type: ignore[attr-defined]  # the real transport's
    descriptor = sock.fileno()
    inode = os.fstat(descriptor).st_ino
    transport.abandon()
    assert sock.fileno() == -1
    assert inode_of(descriptor) != inode
    rig.put("b", "two")
    rig.run(2)
    assert rig.stored == ["one", "two"]
