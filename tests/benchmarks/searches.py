"""Measures each kind of search over a million rows, and posts at full speed with searches beside them.

    python tests/benchmarks/searches.py [--rows 1000000] [--seconds 20] [--posts-only]

A search without an index is asked until it is at its end; its first answer comes after a second at most. The server,
the sender, the page, and the client that searches (one request after the other) are a process each, on loopback.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from logcollector_handler.collector import reading
from logcollector_handler.collector.groups import Groups
from logcollector_handler.collector.query import Query, parse_groups, parse_query
from logcollector_handler.collector.reading import Histogram, Page
from logcollector_handler.collector.scan import Budget
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import RawBatch
from logcollector_handler.wire.posted.entries import check
from tests.benchmarks.collector import BATCH, ENTRY, bodies, entries, listen, processor_seconds, take_in

#: Processor milliseconds that a search with an index may take.
MOST = 200.0
INDEXED = [
    "",
    "level:error",
    "level>=warn",
    "service:mail",
    "logger:shop.mail level>=error",
    "has:error_type",
    "error_type:Declined*",
    "user",
    "payment",
    '"was refunded"',
    "payment -refunded level>=warn",
    "n:77777",
    "n:77777 OR n:88888",
    "trace_id:{trace_id}",
    "{trace_id}",
    "{user_id}",
    "nowhere",
    "level:fatal",
]
UNINDEXED = ["environment:production", "*fund*", "duration_ms>199.99", "path:/api/*", "n>999990", "-user", "%%", "se"]
GROUPED = ["error_type,file_path,function_name", "level", "service", "logger", "user_id", "n", "line"]


def fill(store: Store, count: int, since: float) -> None:
    """Store the rows."""
    batch = []
    for entry in entries(count, since, 3600 / count):
        batch.append(entry)
        if len(batch) == BATCH:
            store.add(check(RawBatch(batch, suspicious=False), strict=False, now=since).rows)
            batch = []


def measured(name: str, ask: Callable[[Query | None], Page | Histogram | Groups]) -> float:
    """Print what a search takes in processor and in real time: its first answer, and all those that continue it."""
    begin, used = time.perf_counter(), time.process_time()
    answer = ask(None)
    first, processor = time.perf_counter() - begin, time.process_time() - used
    requests = 1
    while answer.next is not None and answer.looked_to is not None:
        answer = ask(Query(after=answer.next))
        requests += 1
    whole, all_of_it = time.perf_counter() - begin, time.process_time() - used
    print(
        f"  {name:<50} {processor * 1e3:8.1f} ms of processor, {first * 1e3:8.1f} ms"
        + (f"; {requests} requests {all_of_it:5.1f} s of processor, {whole:5.1f} s" if requests > 1 else ""),
        flush=True,
    )
    return processor * 1e3


def ask_in_turn(url: str, some: dict[str, Any], waits: Any) -> None:
    """Ask each search again and again, one after the other, and put the seconds of each into the queue `waits`."""
    asked = [("/logs", {"q": text.format(**some)}) for text in [*INDEXED, *UNINDEXED]]
    asked += [("/logs/histogram", {"q": text, "since": "-1h"}) for text in ("", "payment", "duration_ms>199")]
    asked += [("/logs/groups", {"by": by, "since": "-1h"}) for by in ("service", "user_id", GROUPED[0])]
    with httpx.Client(timeout=60) as client:
        while True:
            for path, parameters in asked:
                begin = time.perf_counter()
                client.get(url + path, params=parameters).raise_for_status()
                waits.put((f"{path} {' '.join(parameters.values())}", time.perf_counter() - begin))


def post(path: Path, some: dict[str, Any], seconds: float) -> None:
    """Print what posts at full speed take: alone, with a page open, and with searches beside."""
    command = [sys.executable, "-c", ENTRY, "serve", "--port", "0", "--database", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        waits: multiprocessing.Queue[tuple[str, float]] = multiprocessing.Queue()
        page = multiprocessing.Process(target=listen, args=(found[0], [0]), daemon=True)
        searching = multiprocessing.Process(target=ask_in_turn, args=(found[0], some, waits), daemon=True)
        for name, beside in ("alone", None), ("with a page open", page), ("and with searches", searching):
            batches = bodies(200_000, time.time(), 1e-5)
            if beside is not None:
                beside.start()
            used = processor_seconds(server.pid)
            begin = time.perf_counter()
            rate, answered = take_in(found[0], batches * 10, seconds)
            used, took = processor_seconds(server.pid) - used, time.perf_counter() - begin
            count = len(answered) * BATCH
            print(
                f"posts {name}: {rate:,.0f} records/s, {used / count * 1e6:.1f} µs of the server's processor each "
                f"({used / took:.0%} of one); a batch of {BATCH}: median {statistics.median(answered) * 1e3:.0f} ms, "
                f"slowest {max(answered) * 1e3:.0f} ms",
                flush=True,
            )
        searching.terminate()
        page.terminate()
        searches: dict[str, float] = {}
        times = []
        while not waits.empty():
            search, wait = waits.get()
            searches[search] = max(wait, searches.get(search, 0.0))
            times.append(wait)
        print(f"{len(times)} searches beside: median {statistics.median(times) * 1e3:.0f} ms; the slowest of each:")
        for search, wait in sorted(searches.items(), key=lambda each: -each[1]):
            print(f"  {search:<60} {wait * 1e3:8.1f} ms")
        server.terminate()


def search(store: Store, some: dict[str, Any], since: float) -> None:
    """Print what each search takes; say which of those with an index took longer than they should."""
    slow = []
    for text in [*INDEXED, *UNINDEXED]:
        query = parse_query([("q", text.format(**some))])

        def page(more: Query | None, query: Query = query) -> Page:
            return store.page(query if more is None else Query(where=query.where, after=more.after))

        if measured(text or "everything", page) > MOST and text in INDEXED:
            slow.append(text)
    bounds = [("since", str(since)), ("until", str(since + 3600))]
    for text in ("", "level:error", "payment", "n:77777", "duration_ms>199"):
        query = parse_query([("q", text), *bounds])

        def histogram(more: Query | None, query: Query = query) -> Histogram:
            return store.histogram(query if more is None else replace(query, after=more.after), 90)

        measured(f"histogram, {text or 'everything'}", histogram)
    for by in GROUPED:

        def groups(more: Query | None, by: str = by) -> Groups:
            cursor = [] if more is None else [("cursor", str(more.after))]
            asked = parse_groups([("by", by), *bounds, *cursor])
            return store.read(lambda reader: reading.groups(reader, asked, Budget()))

        measured(f"groups, {by}", groups)
    print("too slow:", ", ".join(slow) or "none")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--posts-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "logs.sqlite"
        with closing(Store(path)) as store:
            since = time.time() - 3600
            begin = time.process_time()
            fill(store, options.rows, since)
            each = (time.process_time() - begin) / options.rows
            print(f"{options.rows:,} rows, {os.path.getsize(path) / 1e6:,.0f} MB, {each * 1e6:.0f} µs each", flush=True)
            some = store.page(Query(until=since + 1800, limit=1)).entries[0]
            if not options.posts_only:
                search(store, some, since)
        post(path, some, options.seconds)


if __name__ == "__main__":
    main()
