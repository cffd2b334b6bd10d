"""Each format in real processes, by the same code: poison, an outage, `kill -9`, a fork, partial answers."""

from __future__ import annotations

import gzip
import signal
from collections import Counter
from pathlib import Path

import pytest

from logcollector_handler.delivery.spool.files import BATCH
from logcollector_handler.wire import FORMATS
from tests.bodies import entries_in
from tests.integration.behaviours import Behaviour, answer, cut_after_storing
from tests.integration.faulty import FaultyServer, refuse_records
from tests.integration.faulty_connections import Request
from tests.integration.oracle_rejections import Rejections
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration
WIRES = pytest.mark.parametrize("wire", list(FORMATS))
DURABILITIES = pytest.mark.parametrize("durability", ["batch", "record"])


def program(wire: str, script: str, **settings: object) -> str:
    """A program that configures a handler of that format, and then does this; `log_all(first, last)` logs records."""
    query = "?query=INSERT%20INTO%20logs&id={batch_id}&password=hunter2" if FORMATS[wire].takes_whole_url else ""
    return f"""
from logcollector_handler.delivery import answers
answers.BACKOFF_LIMIT = 0.02  # It is the order of attempts that counts.
handler = configure(**{{**{settings!r}, "wire": {wire!r}, "server_url": os.environ["SERVER"] + {query!r}}})
def log_all(first, last):
    for n in range(first, last): log.info("m%d", n, extra={{"user_id": n, "cart": {{"items": [n, None, "x"]}}}})
{script}
"""


def dead_letters(directory: Path, wire: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in directory.glob("*/dead/*"):
        body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found.update(entry["message"] for entry in entries_in(body, wire))
    return found


@WIRES
def test_poison_is_the_only_thing_that_does_not_arrive(server: FaultyServer, tmp_path: Path, wire: str) -> None:
    bad = {"m3", "m150", "m151"}
    server.default = refuse_records(lambda entry: entry["message"] in bad, 400)
    ended = run(
        server,
        program(
            wire,
            "log_all(0, 300)\nprint(handler.flush(60), handler.stats().dead_lettered, dict(handler.stats().dropped))",
            batch_size=100,
            spool_dir=str(tmp_path),
        ),
    )
    assert ended.out == "True 3 {}\n", ended.err
    found = [each for each in messages(server) if "were lost" not in each]
    assert Counter(found) == Counter({f"m{n}" for n in range(300)} - bad)
    assert dead_letters(tmp_path, wire) == Counter(bad)
    entry = next(entry for entry in server.stored if entry["message"] == "m7")
    assert (entry["user_id"], entry["metadata"]["cart"]) == ("7", {"items": [7, None, "x"]})
    assert "hunter2" not in ended.err
    assert {request.wire for request in server.requests} == {wire}


@WIRES
def test_an_outage_and_a_lost_answer_lose_and_repeat_nothing(server: FaultyServer, wire: str) -> None:
    outage = [answer(503), answer(500), cut_after_storing(), answer(429)]
    server.default = lambda request: outage.pop() if outage else answer()
    ended = run(server, program(wire, "log_all(0, 250)\nprint(handler.flush(60))", batch_size=100))
    assert ended.out == "True\n", ended.err
    assert Counter(messages(server)) == Counter(f"m{n}" for n in range(250))
    bodies: dict[str | None, set[bytes]] = {}
    for request in server.requests:
        bodies.setdefault(request.key, set()).add(request.body)
        if FORMATS[wire].takes_whole_url:
            assert f"&id={request.key}&" in request.path
    assert {len(each) for each in bodies.values()} == {1}, "a retry is byte-identical"


@WIRES
@DURABILITIES
def test_what_a_killed_process_had_accepted_is_sent_by_the_next(
    server: FaultyServer, tmp_path: Path, wire: str, durability: str
) -> None:
    server.refuse()
    spooled = "" if durability == "record" else "while handler._pipeline.listener.put_to < 250: time.sleep(0.005)\n"
    settings = {"spool_dir": str(tmp_path), "durability": durability, "batch_size": 100, "flush_interval": 0.05}
    ended = run(server, program(wire, f"log_all(0, 250)\n{spooled}os.kill(os.getpid(), signal.SIGKILL)", **settings))
    assert ended.code == -signal.SIGKILL, ended.err
    assert [path for path in tmp_path.glob("*/*") if BATCH.fullmatch(path.name)]
    server.resume()
    again = """
log_all(250, 251)
end = time.monotonic() + 60
while handler.stats().adopted.get("delivered", 0) < 250 and time.monotonic() < end: time.sleep(0.01)
print(handler.flush(60), dict(handler.stats().adopted))
"""
    ended = run(server, program(wire, again, **settings))
    assert ended.out == "True {'delivered': 250}\n", ended.err
    assert Counter(messages(server)) == Counter(f"m{n}" for n in range(251))


@WIRES
@pytest.mark.parametrize("durability", ["memory", "record"])
def test_both_sides_of_a_fork_deliver_what_they_log(
    server: FaultyServer, tmp_path: Path, wire: str, durability: str
) -> None:
    settings = {"spool_dir": str(tmp_path), "durability": "record"} if durability == "record" else {}
    script = """
log_all(0, 50)
child = os.fork()
log_all(*((100, 150) if child else (200, 250)))
print(handler.flush(60), flush=True)
if child: os.waitpid(child, 0)
"""
    ended = run(server, program(wire, script, flush_interval=0.05, **settings))
    assert ended.out == "True\nTrue\n", ended.err
    numbers = [*range(50), *range(100, 150), *range(200, 250)]
    assert Counter(messages(server)) == Counter(f"m{n}" for n in numbers)


def test_records_that_otlp_rejects_in_an_answer_of_200_are_counted_and_said(
    server: FaultyServer, tmp_path: Path
) -> None:
    rejections = Rejections()

    def rule(request: Request) -> Behaviour:
        bad = [entry["message"] for entry in request.entries if entry["message"] in ("m7", "m8")]
        return rejections.reject(request.key or "", bad)

    server.default = rule
    script = "log_all(0, 30)\nprint(handler.flush(60), handler.stats().delivered, handler.stats().dead_lettered)"
    ended = run(server, program("otlp", script, batch_size=10, spool_dir=str(tmp_path)))
    assert ended.out == "True 28 2\n", ended.err
    assert "2 records were given up" in ended.err
    assert "of a batch of 10, without saying which (some records are poison)" in ended.err
    (path,) = tmp_path.glob("*/dead/*")
    assert path.name.endswith(".partly.pb")
    assert sum(dead_letters(tmp_path, "otlp").values()) == 10
