"""The pipeline with every format: a format that is added to `FORMATS` is tested here without a further line.

What is tested of the formats themselves is in `tests/wire`. Here they are put in and out of queue, journal, spool and
sender, by the same code for each.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.compression import decompress
from tests.bodies import entries_in
from tests.delivery.harness import no_connection, refusing, status
from tests.delivery.pipelines import PipelineBench, records_add_up

WIRES = pytest.mark.parametrize("wire", list(FORMATS))
DURABILITIES = pytest.mark.parametrize("durability", ["memory", "batch", "record"])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PipelineBench]:
    """Makes a pipeline of a format and a durability."""

    def make(wire: str, durability: str = "memory", **changes: Any) -> PipelineBench:
        spool: dict[str, Any] = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
        return PipelineBench(wire=wire, **spool, **changes)

    return make


def drain(bench: PipelineBench, seconds: float = 120.0) -> None:
    """Let listener and sender work, and time pass, until all is settled."""
    bench.pipeline.listener.stop()
    end = bench.clock.now + seconds
    while (bench.pipeline.queue or len(bench.pipeline.outbox)) and bench.clock.now < end:
        while bench.pipeline.queue:
            bench.listen()
        delay = bench.pipeline.sender.step()
        if delay:
            bench.clock.advance(delay)
        elif delay is None:
            bench.clock.advance(0.1)


def letters(directory: Path, wire: str) -> list[str]:
    """The messages in `dead/`."""
    found = []
    for path in sorted(directory.glob("*/dead/*")):
        assert path.name.removesuffix(".gz").endswith(FORMATS[wire].suffix)
        body = path.read_bytes()
        found += entries_in(gzip.decompress(body) if path.suffix == ".gz" else body, wire)
    return [entry["message"] for entry in found]


@WIRES
@DURABILITIES
def test_what_is_logged_is_what_the_server_reads(
    make: Callable[..., PipelineBench], wire: str, durability: str
) -> None:
    bench = make(wire, durability, batch_size=120)
    bench.log(*(f"m{number}" for number in range(250)))
    bench.log("boom", level=logging.ERROR)
    drain(bench)
    assert bench.scripted.stored == [*(f"m{number}" for number in range(250)), "boom"]
    entry = bench.scripted.requests[-1].entries[-1]
    assert (entry["level"], entry["service"], entry["metadata"]["logger"]) == ("ERROR", "shop", "shop")
    assert entry["created_at"] == pytest.approx(bench.clock.time(), abs=60)
    assert bench.stats().delivered == 251


@WIRES
@DURABILITIES
@pytest.mark.parametrize("code", [400, 413, 422, 500])
def test_poison_is_isolated_and_named_and_its_neighbours_arrive(
    make: Callable[..., PipelineBench],
    wire: str,
    durability: str,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = make(wire, durability, batch_size=40, max_retries=1)
    bench.scripted.rule = refusing(code, "m13", "m77")
    logged = [f"m{number}" for number in range(100)]
    bench.log(*logged)
    drain(bench)
    # What the server takes after it failed on the others is the evidence against them.
    while bench.stats().dead_lettered < 2 and len(logged) < 150:
        logged.append(f"m{len(logged)}")
        bench.log(logged[-1])
        drain(bench)
    stored = [each for each in bench.scripted.stored if "were lost" not in each]
    assert sorted(stored) == sorted(set(logged) - {"m13", "m77"})
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (len(logged) - 2, 2, 0)
    # Not each of them is said within a moment.
    said = {line.rpartition("): ")[2] for line in capsys.readouterr().err.splitlines() if "was given up" in line}
    assert said
    assert said <= {"INFO at 1700001000.000: 'm13'", "INFO at 1700001000.000: 'm77'"}
    if durability != "memory":
        assert sorted(letters(tmp_path, wire)) == ["m13", "m77"]


@WIRES
@DURABILITIES
def test_an_outage_loses_nothing_and_a_retry_is_byte_identical(
    make: Callable[..., PipelineBench], wire: str, durability: str
) -> None:
    bench = make(wire, durability, batch_size=10)
    bench.scripted.script = [no_connection, status(503), status(429), status(500), no_connection]
    bench.log(*(f"m{number}" for number in range(50)))
    drain(bench, 600)
    assert sorted(bench.scripted.stored) == sorted(f"m{number}" for number in range(50))
    bodies: dict[str, set[bytes]] = {}
    for request in bench.scripted.requests:
        bodies.setdefault(request.key, set()).add(request.body)
    assert {len(each) for each in bodies.values()} == {1}
    assert records_add_up(bench.stats())


@WIRES
@pytest.mark.parametrize("durability", ["batch", "record"])
def test_what_a_killed_process_leaves_is_sent_by_the_next_one(
    make: Callable[..., PipelineBench], wire: str, durability: str
) -> None:
    dead = make(wire, durability, batch_size=10)
    dead.log(*(f"m{number}" for number in range(25)))
    for _ in range(2):
        dead.listen()
    if durability == "batch":
        dead.pipeline.listener.stop()
        dead.listen()
    dead.pipeline.workers.abandon()
    heir = make(wire, durability)
    drain(heir, 20.0)
    heir.clock.advance(60.0)
    heir.send()
    assert sorted(heir.scripted.stored) == sorted(f"m{number}" for number in range(25))
    assert dict(heir.stats().adopted) == {"delivered": 25}


@WIRES
def test_patterns_are_masked_in_every_format(make: Callable[..., PipelineBench], wire: str, tmp_path: Path) -> None:
    for durability in ("memory", "record"):
        bench = make(wire, durability, redact_patterns=["q+x[0-9]"])
        for number in (1, 2):
            record = logging.LogRecord("shop", logging.INFO, __file__, 1, f"a qqx{number}", None, None)
            record.__dict__.update(user_id="qx3", more={"qqqx4": ["qx5", 1]} if number == 2 else 1)
            bench.pipeline.handler.emit(record)
        drain(bench)
        (request,) = bench.scripted.requests
        assert [entry["message"] for entry in request.entries] == ["a ***", "a ***"]
        assert request.entries[1]["user_id"] == "***"
        assert request.entries[1]["metadata"]["more"] == {"***": ["***", 1]}


@WIRES
@DURABILITIES
def test_no_body_is_larger_than_servers_take_also_where_the_format_takes_more_bytes_than_a_line(
    make: Callable[..., PipelineBench], wire: str, durability: str
) -> None:
    bench = make(wire, durability)
    limit = min(FORMATS[wire].max_batch_bytes, bench.settings.max_batch_bytes)
    # Small fields take more bytes in some formats than in JSON.
    small = {f"k{number}": 0 for number in range(500)}
    for number in range(300):
        record = logging.LogRecord("shop", logging.INFO, __file__, 1, f"m{number}", None, None)
        bench.pipeline.handler.emit(_with(record, small=small))
    for number in range(300, 310):
        record = logging.LogRecord("shop", logging.INFO, __file__, 1, f"m{number}", None, None)
        bench.pipeline.handler.emit(_with(record, large="x" * 200_000))
    drain(bench)
    assert sorted(bench.scripted.stored) == sorted(f"m{number}" for number in range(310))
    sizes = [len(decompress(each.body) if each.compressed else each.body) for each in bench.scripted.requests]
    assert max(sizes) <= limit
    assert max(sizes) > limit // 3 or sum(sizes) < 2 * limit, "batches are not cut much smaller than needed"
    assert bench.stats().delivered == 310


@WIRES
def test_a_record_is_cut_to_what_one_body_may_have(make: Callable[..., PipelineBench], wire: str) -> None:
    limit = min(FORMATS[wire].max_batch_bytes, 4 << 20)
    for durability in ("memory", "record"):
        bench = make(wire, durability, max_record_bytes=4 << 20)
        bench.log("long " + "x" * (5 << 20))
        drain(bench)
        (request,) = bench.scripted.requests
        plain = decompress(request.body) if request.compressed else request.body
        # The record has the limit of the settings, and the frame of its body stands around it.
        assert limit // 2 < len(plain) <= limit + FORMATS[wire].frame_bytes
        assert request.messages[0].startswith("long xxx")


def _with(record: logging.LogRecord, **extra: Any) -> logging.LogRecord:
    record.__dict__.update(extra)
    return record
