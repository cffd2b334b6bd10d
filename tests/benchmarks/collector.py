"""Measures the embedded collector: records taken in a second while streams are open, and queries over a million rows.

    python tests/benchmarks/collector.py [--rows 1000000] [--seconds 20]

Everything runs on loopback in a directory of its own: the server and the client that posts are two processes.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
from isal import igzip

from logcollector_handler.collector.query import Query
from logcollector_handler.collector.store import Store

ENTRY = "import sys; from logcollector_handler.cli import main; sys.exit(main())"
BATCH = 1000
LOGGERS = [f"shop.{name}" for name in ("payments", "orders", "http", "stock", "mail", "sql", "auth", "jobs")]
NOUNS = ["payment", "order", "invoice", "parcel", "request", "message", "session", "token", "basket", "customer"]
VERBS = ["accepted", "rejected", "queued", "sent", "received", "stored", "expired", "validated", "refunded", "shipped"]
TRACE = "Traceback (most recent call last):\n"
TRACE += "".join(
    f'  File "/srv/shop/module_{n}.py", line {n}, in function_{n}\n    call_{n}(order={n})\n' for n in range(12)
)
TRACE += "DeclinedError: the bank said no"


def entries(count: int, begin: float, step: float) -> Iterator[dict[str, Any]]:
    """As an application writes them: 2 % errors with a stack trace, six entries a request."""
    chance = random.Random(7)
    trace = user = session = ""
    for number in range(count):
        if number % 6 == 0:
            trace, session = f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(64):016x}"
            user = f"user-{chance.randrange(20_000)}"
        place = chance.random()
        level = "ERROR" if place < 0.02 else "WARN" if place < 0.08 else "DEBUG" if place < 0.3 else "INFO"
        entry = {
            "level": level,
            "message": f"{chance.choice(NOUNS)} {chance.randrange(10**6)} of {user} was {chance.choice(VERBS)}",
            "created_at": begin + number * step,
            "service": chance.choice(["shop", "shop", "shop", "mail", "stock"]),
            "environment": "development",
            "trace_id": trace,
            "user_id": user,
            "session_id": session,
            "function_name": "charge",
            "file_path": "/srv/shop/payments.py",
            "duration_ms": round(chance.random() * 200, 3),
            "metadata": {
                "logger": chance.choice(LOGGERS),
                "line": 78,
                "process": 1,
                "thread": "MainThread",
                "n": number,
            },
        }
        if level == "ERROR":
            entry |= {"stack_trace": TRACE, "error_type": "DeclinedError"}
        yield entry


def bodies(count: int, begin: float, step: float) -> list[bytes]:
    """Batches as a handler sends them."""
    batch: list[dict[str, Any]] = []
    made = []
    for entry in entries(count, begin, step):
        batch.append(entry)
        if len(batch) == BATCH:
            made.append(igzip.compress(msgspec.json.encode({"logs": batch}), 1))
            batch = []
    return made


def listen(url: str, counted: list[int]) -> None:
    """What the page does: it follows, and asks for the histogram every three seconds."""
    # The server ends it.
    with (
        suppress(httpx.HTTPError),
        httpx.Client(timeout=60) as client,
        client.stream("GET", f"{url}/logs/stream?at_most=200") as response,
    ):
        asked = 0.0
        for line in response.iter_lines():
            counted[0] += line.startswith('data: {"id')
            if time.monotonic() - asked > 3:
                asked = time.monotonic()
                httpx.get(f"{url}/logs/histogram?since={time.time() - 3600}&buckets=90", timeout=60)


def take_in(url: str, batches: list[bytes], seconds: float) -> tuple[float, list[float]]:
    """Records a second, and how long each batch waited for its answer."""
    waits: list[float] = []
    done = 0
    with httpx.Client(timeout=60, headers={"Content-Encoding": "gzip"}) as client:
        begin = time.perf_counter()
        for number, body in enumerate(batches):
            asked = time.perf_counter()
            client.post(
                url + "/logs", content=body, headers={"Idempotency-Key": f"{begin}.{number}"}
            ).raise_for_status()
            waits.append(time.perf_counter() - asked)
            done += BATCH
            if seconds and time.perf_counter() - begin > seconds:
                break
        return done / (time.perf_counter() - begin), waits


def processor_seconds(process: int) -> float:
    """What it has used until now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(question: Callable[[], object]) -> float:
    """Processor time, the median of five: what others do on the machine does not count."""
    times = []
    for _ in range(5):
        begin = time.process_time()
        question()
        times.append(time.process_time() - begin)
    return statistics.median(times) * 1e3


def questions(store: Store, since: float, until: float) -> dict[str, Callable[[], object]]:
    """What the page and the command line ask."""
    some = store.page(Query(limit=1)).entries[0]
    ids = {name: str(some[name]) for name in ("trace_id", "user_id", "session_id")}
    middle = (since + until) / 2
    pages = {
        "newest": Query(),
        "before the middle": Query(until=middle),
        "level ERROR": Query(exact={"level": "ERROR"}),
        "WARN and up": Query(min_level="WARN"),
        "a level that nothing has": Query(min_level="FATAL"),
        "service": Query(exact={"service": "mail"}),
        "environment that nothing has": Query(exact={"environment": "production"}),
        "logger and level": Query(exact={"logger": "shop.mail"}, min_level="ERROR"),
        **{name: Query(exact={name: value}, limit=1000) for name, value in ids.items()},
        "text: rare word": Query(text="user-777"),
        "text: word in a tenth": Query(text="payment"),
        "text: word in all": Query(text="user"),
        "text: two words and a level": Query(text="pay refund", min_level="WARN"),
        "text: nothing has it": Query(text="nowhere"),
        "text: signs only": Query(text="%%"),
    }
    histograms = {
        "levels over time": Query(),
        "of a service": Query(exact={"service": "shop"}),
        "of an environment": Query(exact={"environment": "development"}),
        "of a word in a tenth": Query(text="payment"),
        "of a word in all": Query(text="user"),
    }
    asked: dict[str, Callable[[], object]] = {}
    for name, query in pages.items():
        asked[f"page, {name}"] = lambda query=query: store.page(query)  # type: ignore[misc]
    for name, query in histograms.items():
        asked[f"histogram, {name}"] = lambda query=query: store.histogram(query, 90)  # type: ignore[misc]
    return {**asked, "statistics": store.stats, "services and loggers": store.values}


def ask(path: Path, since: float) -> None:
    """Print how large the file is, and what each question takes."""
    with closing(Store(path)) as store:
        count = store.count()
        size = os.path.getsize(path)
        print(f"{count:,} rows, {size / 1e6:,.0f} MB, {size / count:.0f} bytes each")
        for name, question in questions(store, since, since + 3600).items():
            print(f"  {name:<45} {milliseconds(question):9.1f} ms", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "logs.sqlite"
        command = [sys.executable, "-c", ENTRY, "serve", "--port", "0", "--database", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            since = time.time() - 3600
            step = 3600 / options.rows
            for part in range(0, options.rows, 100_000):
                count = min(100_000, options.rows - part)
                batches = bodies(count, since + part * step, step)
                used = processor_seconds(server.pid)
                rate, _ = take_in(found[0], batches, 0)
                used = (processor_seconds(server.pid) - used) / count
                print(
                    f"{part + count:>9,} rows: {rate:,.0f} records/s, {used * 1e6:.0f} µs of processor each", flush=True
                )
            ask(path, since)
            batches = bodies(200_000, time.time(), 1e-5)
            counted = [0]
            threading.Thread(target=listen, args=(found[0], counted), daemon=True).start()
            time.sleep(1)
            used = processor_seconds(server.pid)
            rate, waits = take_in(found[0], batches * 10, options.seconds)
            used = (processor_seconds(server.pid) - used) / (len(waits) * BATCH)
            usage = Path(f"/proc/{server.pid}/status").read_text()
            memory = int(re.findall(r"VmHWM:\s+(\d+)", usage)[0]) / 1024
            print(f"with a page open, {options.seconds:g} s: {rate:,.0f} records/s, {used * 1e6:.0f} µs each")
            print(f"shown in the page meanwhile: {counted[0]:,}")
            print(
                f"a batch of {BATCH}: median {statistics.median(waits) * 1e3:.0f} ms, slowest {max(waits) * 1e3:.0f} ms"
            )
            print(f"memory of the server at most {memory:.0f} MiB")
            server.terminate()


if __name__ == "__main__":
    main()
