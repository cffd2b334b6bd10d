"""Poison and abuse: records that the server refuses, and records and callers that no handler likes."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer, refuse_records
from tests.integration.faulty_connections import Request
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration

#: Waits between attempts are in the way here: it is their order that counts.
IMPATIENT = """
from logcollector_handler.delivery import answers
answers.BACKOFF_LIMIT = 0.02
"""


@pytest.mark.parametrize("status", [400, 422, 413])
def test_records_that_are_refused_at_random_places_are_the_only_ones_that_do_not_arrive(
    server: FaultyServer, tmp_path: Path, status: int
) -> None:
    rng = random.Random(status)
    bad = {f"m{n}" for n in rng.sample(range(3000), 30)}
    server.default = refuse_records(lambda entry: entry["message"] in bad, status)
    ended = run(
        server,
        f"""
        handler = configure(batch_size=500, spool_dir={str(tmp_path)!r})
        for n in range(3000): log.info("m%d", n)
        print(handler.flush(30), handler.stats().dead_lettered, dict(handler.stats().dropped))
        """,
    )
    assert ended.out == "True 30 {}\n", ended.err
    found = [each for each in messages(server) if "were lost" not in each]
    assert Counter(found) == Counter({f"m{n}" for n in range(3000)} - bad)
    letters = [json.loads(path.read_bytes())["logs"] for path in tmp_path.glob("*/dead/*.json")]
    assert Counter(entry["message"] for logs in letters for entry in logs) == Counter(bad)


@pytest.mark.parametrize("outage", [0, 25])
def test_records_on_which_the_server_fails_are_found_also_after_it_failed_on_all(
    server: FaultyServer, tmp_path: Path, outage: int
) -> None:
    """500 for these records only; and for a while for everything, with the records in it."""
    bad = {"m7", "m512", "m1499"}

    def rule(request: Request) -> Behaviour:
        if len(server.requests) < outage:
            return answer(500)
        return answer(500 if bad & {entry["message"] for entry in request.entries} else 200)

    server.default = rule
    ended = run(
        server,
        IMPATIENT
        + f"""
handler = configure(batch_size=100, flush_interval=0.05, max_retries=2, spool_dir={str(tmp_path)!r})
for n in range(1500): log.info("m%d", n)
for n in range(1000):
    if handler.stats().dead_lettered == 3: break
    log.info("more %d", n); time.sleep(0.02)  # What succeeds is the evidence.
print(handler.flush(30), handler.stats().dead_lettered, dict(handler.stats().dropped))
""",
    )
    assert ended.out == "True 3 {}\n", ended.err
    found = Counter(each for each in messages(server) if "were lost" not in each)
    assert {f"m{n}" for n in range(1500)} - set(found) == bad
    assert max(found.values()) == 1
    letters = [json.loads(path.read_bytes())["logs"] for path in tmp_path.glob("*/dead/*.json")]
    assert {entry["message"] for logs in letters for entry in logs} == bad


@pytest.mark.parametrize("durability", ["memory", "record"])
def test_records_of_absurd_size_and_shape_arrive_cut_and_spoil_no_others(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    settings = {"spool_dir": str(tmp_path), "durability": "record"} if durability == "record" else {}
    ended = run(
        server,
        f"""
        handler = configure(**{settings!r})
        nested = []
        for _ in range(10_000): nested = [nested]
        deep = {{}}
        for _ in range(10_000): deep = {{"down": deep}}
        class Raises:
            def __repr__(self): raise RuntimeError("no")
        class Logs:
            def __repr__(self):
                log.info("from repr")
                return "<logs>"
        class Kills:
            def __str__(self): raise RecursionError
            __repr__ = __str__
        log.info("before")
        log.info("long " + "x" * 50_000_000)
        log.info("long extra", extra={{"blob": "y" * 50_000_000, "bytes": b"z" * 50_000_000}})
        log.info("nested", extra={{"nested": nested, "deep": deep}})
        log.info("raises", extra={{"thing": Raises()}})
        log.info("raises as message %s", Raises())
        log.info("kills %s", Kills(), extra={{"thing": Kills()}})
        log.info("logs", extra={{"thing": Logs()}})
        log.info("after")
        print(handler.flush(30), dict(handler.stats().dropped), handler.stats().dead_lettered)
        # Taken apart without the recursion that would end the interpreter.
        while nested: nested = nested[0]
        while deep: deep = deep["down"]
        """,
    )
    assert ended.code == 0, ended.err
    assert ended.out == "True {} 0\n", ended.err
    found = [each[:12].strip() for each in messages(server)]
    assert Counter(found) == Counter(
        [
            "before",
            "long xxxxxxx",
            "long extra",
            "nested",
            "raises",
            "raises as me",
            "kills %s",
            "from repr",
            "logs",
            "after",
        ]
    )
    assert max(len(str(entry)) for entry in server.stored) < 400_000


def test_a_repr_that_blocks_holds_up_its_own_thread_alone(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure()
        go = threading.Event()
        class Blocks:
            def __repr__(self):
                go.wait(30)
                return "<blocks>"
        thread = threading.Thread(target=lambda: log.info("blocked", extra={"thing": Blocks()}))
        thread.start()
        for n in range(2000): log.info("m%d", n)
        print(handler.flush(60), thread.is_alive())
        go.set()
        thread.join()
        """,
    )
    assert ended.out == "True True\n"
    assert sorted(messages(server)) == sorted(["blocked", *(f"m{n}" for n in range(2000))])


@pytest.mark.parametrize("durability", ["memory", "record"])
def test_64_threads_at_once_lose_and_repeat_nothing(server: FaultyServer, tmp_path: Path, durability: str) -> None:
    settings = {"spool_dir": str(tmp_path), "durability": "record"} if durability == "record" else {}
    ended = run(
        server,
        f"""
        sys.setswitchinterval(1e-5)
        handler = configure(overflow="block", **{settings!r})
        barrier = threading.Barrier(64)
        def work(name):
            barrier.wait()
            for n in range(100): log.info("%d-%d", name, n)
        threads = [threading.Thread(target=work, args=(name,)) for name in range(64)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(handler.flush(30), handler.stats().delivered, dict(handler.stats().dropped))
        """,
    )
    assert ended.out == "True 6400 {}\n", ended.err
    assert Counter(messages(server)) == Counter(f"{name}-{n}" for name in range(64) for n in range(100))


@pytest.mark.parametrize("durability", ["memory", "record"])
def test_a_clock_that_is_set_back_an_hour_delays_and_turns_nothing(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    settings = {"spool_dir": str(tmp_path), "durability": "record"} if durability == "record" else {}
    server.default = lambda request: answer(503) if len(server.requests) == 1 else answer()
    ended = run(
        server,
        f"""
        real, real_ns, back = time.time, time.time_ns, 0
        time.time = lambda: real() - back
        time.time_ns = lambda: real_ns() - back * 10**9
        handler = configure(flush_interval=0.1, batch_size=10, **{settings!r})
        for n in range(20): log.info("m%d", n)
        print(handler.flush(60))
        back = 3600
        for n in range(20, 45): log.info("m%d", n)
        end = time.monotonic() + 60
        while handler.stats().delivered < 45 and time.monotonic() < end: time.sleep(0.01)
        print(handler.stats().delivered)
        """,
    )
    assert ended.out == "True\n45\n", ended.err
    assert messages(server) == [f"m{n}" for n in range(45)]
    moments = [entry["created_at"] for entry in server.stored]
    assert 3500 < moments[19] - moments[20] < 3600
    keys = server.stored_keys
    assert keys == sorted(keys), "the names of batches keep their order"
