"""The table of answers against a real server: faults of the network and of the server, one after the other.

The sender and its HTTP client are the real ones. Only time is skipped: a wait of the sender's passes at
once, while what the network takes, it takes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial

import pytest

from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from tests.delivery.harness import WIRE, Bench, FakeClock, batch_of
from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer, Request, refuse_records

pytestmark = pytest.mark.integration


class SkippingClock(FakeClock):
    """Real time, plus what was skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.now_offset = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.now_offset

    def time(self) -> float:
        return time.time() + self.now_offset

    @property
    def now(self) -> float:
        return self.monotonic()

    @now.setter
    def now(self, value: float) -> None:
        self.now_offset = value - time.monotonic()


@dataclass
class Rig:
    """A real server and a sender that posts to it."""

    server: FaultyServer
    bench: Bench

    def put(self, batch_id: str, *messages: str) -> None:
        self.bench.put(batch_id, *messages)

    def run(self, seconds: float = 0.0) -> Stats:
        self.bench.run(seconds)
        return self.bench.stats()

    @property
    def stored(self) -> list[str]:
        return [str(entry["message"]) for entry in self.server.stored]

    @property
    def keys(self) -> list[str | None]:
        return [request.key for request in self.server.requests]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with make_rig() as rig:
        yield rig


class make_rig:  # noqa: N801 - used like a function
    def __init__(self, **settings: object) -> None:
        self.server = FaultyServer()
        clock = SkippingClock()
        made = replace(Settings(), server_url=self.server.url, **{"timeout": 0.4, **settings})  # type: ignore[arg-type]
        self.transport = HttpTransport(made, WIRE, clock)
        self.rig = Rig(self.server, Bench(settings=made, clock=clock, transport=self.transport))  # type: ignore[arg-type]

    def __enter__(self) -> Rig:
        return self.rig

    def __exit__(self, *_: object) -> None:
        self.transport.close()
        self.server.close()


LOST_OR_NOT: dict[str, Callable[[], Behaviour]] = {
    "cut before the body": behaviours.cut_before_body,
    "cut in the body": behaviours.cut_during_body,
    "cut after the body": behaviours.cut_after_body,
    "cut after it stored the batch": behaviours.cut_after_storing,
    "answer cut short": behaviours.truncated_answer,
    "answer trickles": lambda: behaviours.trickle(0.05),
    "hangs": behaviours.hang,
    "hangs after it stored the batch": lambda: behaviours.hang(stored=True),
    **{str(code): partial(answer, code) for code in (408, 409, 425, 429, 502, 503, 504)},
    "504 after it stored the batch": lambda: behaviours.store_then_answer(504),
}


@pytest.mark.parametrize("name", LOST_OR_NOT)
def test_a_batch_survives_and_is_stored_once(rig: Rig, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server._script.extend([LOST_OR_NOT[name](), LOST_OR_NOT[name]()])
    rig.put("a", *(f"m{number}" for number in range(500)))
    rig.put("b", "after")
    stats = rig.run(10)
    assert rig.stored == [f"m{number}" for number in range(500)] + ["after"]
    assert rig.keys == ["a", "a", "a", "b"], "the same key each time, and in order"
    complete = [request.body for request in rig.server.requests[:3] if len(request.body) > 20_000]
    assert len(set(complete)) == 1, "a retry repeats the byte-identical body"
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (501, 0, 0, {})
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, "one plain sentence for one outage"
    assert "takes no logs now" in said[0]
    assert "kept" in said[0]


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


def test_a_minute_of_500_loses_nothing_and_buries_nothing(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server.default = answer(500)
    for number in range(50):
        rig.put(f"b{number:02}", f"m{number}")
    stats = rig.run(60)
    assert (stats.pending, stats.dead_lettered) == (50, 0)
    rig.server.default = answer()
    stats = rig.run(31)
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (50, 0, 0, {})
    assert sorted(rig.stored) == sorted(f"m{number}" for number in range(50))
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("code", [400, 413, 422])
def test_the_record_that_the_server_refuses_is_the_only_one_that_does_not_arrive(rig: Rig, code: int) -> None:
    rig.server.default = refuse_records(lambda entry: entry["message"] in ("m3", "m77"), code)
    rig.put("a", *(f"m{number}" for number in range(100)))
    stats = rig.run()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (98, 2, 0)
    assert rig.stored == [f"m{number}" for number in range(100) if number not in (3, 77)]


def test_a_body_that_is_too_large_for_the_server_is_sent_in_parts(rig: Rig) -> None:
    rig.server.default = lambda request: answer(413 if len(request.body) > 5000 else 200)
    rig.put("a", *(f"m{number}" for number in range(300)))
    stats = rig.run()
    assert (stats.delivered, stats.dead_lettered) == (300, 0)
    assert rig.stored == [f"m{number}" for number in range(300)]


def test_a_record_on_which_only_the_server_fails_is_isolated(rig: Rig) -> None:
    rig.server.default = refuse_records(lambda entry: entry["message"] == "m5", 500)
    rig.put("a", *(f"m{number}" for number in range(16)))
    for number in range(16, 40):
        rig.put(f"b{number}", f"m{number}")
        stats = rig.run(5)
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (39, 1, 0)


def test_gzip_that_the_server_does_not_take_is_sent_again_plain_under_another_key() -> None:
    def rule(request: Request) -> Behaviour:
        return answer(415 if request.headers.get("content-encoding") == "gzip" else 200)

    with make_rig() as rig:
        rig.server.default = rule
        rig.bench.ledger.take(200)
        rig.bench.outbox.put(batch_of("a", *(f"m{number}" for number in range(200)), compressed=True))
        stats = rig.run()
        assert stats.delivered == 200
        assert rig.keys == ["a", "a.0"]
        assert rig.bench.sender.compressing is False


CONFIGURATION: dict[str, Behaviour] = {
    "401": answer(401),
    "403": answer(403),
    "404": answer(404),
    "405": answer(405),
    "407": answer(407),
    "415": answer(415),
    "307": behaviours.redirect("http://127.0.0.1:9/elsewhere"),
    "302": behaviours.redirect("http://127.0.0.1:9/login", 302),
    "HTML": behaviours.html_page(),
}


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_wrong_configuration_is_said_once_and_nothing_is_lost(
    rig: Rig, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.server.default = CONFIGURATION[name]
    rig.put("a", "one")
    rig.put("b", "two")
    stats = rig.run(89)
    assert rig.keys == ["a"] * 3, "every 30 s"
    assert (stats.delivered, stats.pending) == (0, 2)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "check" in said[0]
    rig.server.default = answer()
    assert rig.run(31).delivered == 2
    assert rig.stored == ["one", "two"]


def test_retry_after_is_honoured_as_seconds_and_as_a_date(rig: Rig) -> None:
    rig.server._script.append(behaviours.retry_after(100, 429))
    rig.put("a", "one")
    rig.bench.step()
    assert rig.bench.step() == pytest.approx(100, abs=1)
    rig.bench.clock.advance(100)
    date = datetime.fromtimestamp(rig.bench.clock.time(), timezone.utc) + timedelta(seconds=60)
    rig.server._script.append(behaviours.retry_after(date, 503))
    rig.bench.step()
    assert rig.bench.step() == pytest.approx(60, abs=2)


def test_a_wrong_count_is_reported_once_and_counts_as_delivered(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.server.default = behaviours.wrong_count(5)
    rig.put("a", "one")
    rig.put("b", "two")
    assert rig.run(100).delivered == 2
    assert rig.keys == ["a", "b"]
    assert len(capsys.readouterr().err.splitlines()) == 1


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
        network.begin(0, 30)
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
