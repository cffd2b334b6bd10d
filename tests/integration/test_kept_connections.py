"""A kept connection that the server closed while it was idle: the batch goes again at once on a new one, unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.delivery.harness import WIRE, Bench
from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run
from tests.integration.rig import Rig, SkippingClock

pytestmark = pytest.mark.integration

CUTS = {
    "closed": behaviours.cut_after_body,
    "reset": behaviours.cut_before_body,
    "reset in the body": behaviours.cut_during_body,
}


@pytest.fixture(params=["plain", "TLS"])
def kept(request: pytest.FixtureRequest, certificate: tuple[str, str]) -> Iterator[Rig]:
    """A server that has delivered one batch over a connection that is kept."""
    with FaultyServer(tls=certificate if request.param == "TLS" else None) as server:
        settings = replace(Settings(), server_url=server.url, verify=certificate[0], timeout=60.0)
        clock = SkippingClock()
        transport = HttpTransport(settings, WIRE, clock)
        kept = Rig(server, Bench(settings=settings, clock=clock, transport=transport))  # type: ignore[arg-type]
        kept.put("first", "first")
        kept.run()
        yield kept
        transport.close()


@pytest.mark.parametrize("name", CUTS)
def test_a_batch_goes_again_at_once_and_nothing_is_said(
    kept: Rig, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.server._script.append(CUTS[name]())
    kept.put("a", *("x" * 1000 for _ in range(300)))
    assert kept.bench.step() == 0.0
    assert kept.bench.stats().delivered == 301, "within the same step"
    assert kept.keys == ["first", "a", "a"]
    first, second = kept.server.requests[1:]
    assert second.body.startswith(first.body), "it is the same body"
    assert capsys.readouterr().err == ""


def test_it_is_sent_again_once_and_not_more(kept: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    kept.server._script.extend([behaviours.cut_after_body()] * 2)
    kept.put("a", "one")
    kept.bench.step()
    assert kept.keys == ["first", "a", "a"]
    assert "takes no logs now" in capsys.readouterr().err
    kept.run(2)
    assert kept.stored == ["first", "one"]


@pytest.mark.parametrize("what", [behaviours.cut_after_body(), behaviours.cut_before_body()], ids=["closed", "reset"])
def test_on_a_new_connection_the_same_is_a_failure(rig: Rig, what: Behaviour) -> None:
    rig.server._script.append(what)
    rig.put("a", "one")
    rig.bench.step()
    assert rig.keys == ["a"]


def test_a_part_of_an_answer_is_not_asked_for_again_at_once(kept: Rig) -> None:
    kept.server._script.append(behaviours.truncated_answer())
    kept.put("a", "one")
    kept.bench.step()
    assert kept.keys == ["first", "a"]


@pytest.mark.parametrize(
    ("what", "lost"),
    [(behaviours.cut_after_storing(), True), (behaviours.cut_before_body(), False)],
    ids=["sent whole", "not sent whole"],
)
def test_what_was_sent_whole_before_may_be_stored_whatever_the_second_answer(
    kept: Rig, what: Behaviour, lost: bool
) -> None:
    """So a batch is not split for a 500 that it gets then: its parts would be stored once more."""
    kept.server._script.extend([what, answer(500)])
    # What is to be seen not to arrive is more than the buffers of the system take.
    body = b'{"logs":[]}' + b" " * (0 if lost else 30_000_000)
    got = kept.bench.transport.post("a", body, False, 60.0)
    assert (got.status, got.lost) == (500, lost)


def test_at_exit_the_last_batch_goes_again_at_once(certificate: tuple[str, str]) -> None:
    for tls in (None, certificate):
        with FaultyServer([answer(), behaviours.cut_after_body()], tls=tls) as server:
            ended = run(
                server,
                f"""
                handler = configure(verify={certificate[0]!r})
                log.info("first")
                assert handler.flush(60)
                log.info("last")
                """,
            )
            assert (ended.code, ended.err, messages(server)) == (0, "", ["first", "last"])
