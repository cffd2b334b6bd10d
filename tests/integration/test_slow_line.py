"""A server that reads so slowly that a batch does not fit the time of a request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from queue import Queue

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour
from tests.integration.faulty_connections import Request
from tests.integration.rig import Rig, make_rig

pytestmark = pytest.mark.integration


@pytest.fixture
def slow() -> Iterator[Rig]:
    """A line with small buffers, so that what was written and not read is known not to have arrived."""
    with make_rig(timeout=1.0) as rig:
        rig.server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        yield rig


def test_a_batch_of_megabytes_arrives_in_parts_over_a_line_of_some_hundred_kilobytes_a_second(
    slow: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    slow.server.default = behaviours.slow_read(0.01, 4 * 1024)
    sent = [f"{number} {'x' * 12_000}" for number in range(200)]
    slow.put("a", *sent)
    slow.put("b", "after")
    stats = slow.run(120)
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (201, 0, 0, {})
    assert sorted(slow.stored) == sorted([*sent, "after"]), "each of them once"
    assert len({key for key in slow.keys if key is not None and key.startswith("a.")}) > 2
    assert capsys.readouterr().err.count("were not enough to send a batch") == 1


def test_what_was_not_sent_in_time_is_not_sent_afterwards_either(slow: Rig) -> None:
    """It is less than the system keeps for a connection, and would go on sending."""
    came_whole: Queue[bool] = Queue()

    def rule(request: Request) -> Behaviour:
        if request.key == "a":
            # By then its sender has given it up, and sent its parts.
            slow.server.wait_for_stored(2)
            try:
                request.read()
            except OSError:
                came_whole.put(False)
                raise
            came_whole.put(True)
        return behaviours.answer()

    slow.server.default = rule
    sent = [f"{number} {'x' * 30_000}" for number in range(2)]
    slow.put("a", *sent)
    assert slow.run(60).delivered == 2
    assert came_whole.get(timeout=60) is False
    assert sorted(slow.stored) == sorted(sent), "each of them once"


def test_a_record_that_the_line_does_not_carry_in_time_is_kept_and_the_others_go_on(slow: Rig) -> None:
    def rule(request: Request) -> Behaviour:
        large = int(request.headers["Content-Length"]) > 1_000_000
        return behaviours.slow_read(0.2, 1024) if large else behaviours.answer()

    slow.server.default = rule
    slow.put("a", "x" * 4_000_000)
    slow.put("b", "one", "y" * 4_000_000)
    slow.put("c", "two")
    stats = slow.run(10)
    assert slow.stored == ["one", "two"]
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (2, 2, 0, {})
    slow.server.default = behaviours.answer()
    assert slow.run(31).delivered == 4


def test_a_request_that_had_less_than_its_whole_time_tells_nothing_of_the_size_of_its_batch(slow: Rig) -> None:
    """As at exit, where what is left of the time may be little."""
    slow.server.default = behaviours.slow_read(0.2, 1024)
    body = b'{"logs":[]}' + b" " * 4_000_000
    for seconds, unfinished in ((0.3, False), (1.0, True)):
        answer = slow.bench.transport.post("a", body, False, seconds)
        assert (answer.status, answer.arrived, answer.unfinished) == (None, False, unfinished)
