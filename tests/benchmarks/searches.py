"""Measures each kind of search over a million rows, and what is asked beside a server that takes records in.

    python tests/benchmarks/searches.py [--rows 1000000]

A search without an index is asked until it is at its end; its first answer comes after a second at most.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from logcollector_handler.collector import reading
from logcollector_handler.collector.groups import Groups
from logcollector_handler.collector.query import Query, parse_groups, parse_query
from logcollector_handler.collector.reading import Histogram, Page
from logcollector_handler.collector.scan import Budget
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import RawBatch
from logcollector_handler.wire.posted.entries import check
from tests.benchmarks.collector import BATCH, entries

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
    """Print what a search takes, in processor and in real time, with how far the first answer has looked."""
    begin, used = time.perf_counter(), time.process_time()
    answer = ask(None)
    first, processor = time.perf_counter() - begin, time.process_time() - used
    requests = 1
    while answer.next is not None and answer.looked_to is not None:
        answer = ask(Query(after=answer.next))
        requests += 1
    whole = time.perf_counter() - begin
    print(
        f"  {name:<50} {processor * 1e3:8.1f} ms of processor, {first * 1e3:8.1f} ms"
        + (f", {whole:5.1f} s in all of {requests} requests" if requests > 1 else ""),
        flush=True,
    )
    return processor * 1e3


def main() -> None:
    """Print the table; say which searches with an index took longer than they should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "logs.sqlite"
        with closing(Store(path)) as store:
            since = time.time() - 3600
            begin = time.process_time()
            fill(store, options.rows, since)
            each = (time.process_time() - begin) / options.rows
            print(f"{options.rows:,} rows, {os.path.getsize(path) / 1e6:,.0f} MB, {each * 1e6:.0f} µs each")
            some = store.page(Query(until=since + 1800, limit=1)).entries[0]
            slow = []
            for text in [*INDEXED, *UNINDEXED]:
                query = parse_query([("q", text.format(**some))])

                def page(more: Query | None, query: Query = query) -> Page:
                    return store.page(query if more is None else Query(where=query.where, after=more.after))

                if measured(text or "everything", page) > MOST and text in INDEXED:
                    slow.append(text)
            for text in ("", "level:error", "payment", "n:77777", "duration_ms>199"):
                query = parse_query([("q", text), ("since", str(since)), ("until", str(since + 3600))])

                def histogram(more: Query | None, query: Query = query) -> Histogram:
                    after = None if more is None else more.after
                    bounds = Query(where=query.where, since=query.since, until=query.until, after=after)
                    return store.histogram(bounds, 90)

                measured(f"histogram, {text or 'everything'}", histogram)
            for by in GROUPED:
                grouping = parse_groups([("by", by), ("since", str(since)), ("until", str(since + 3600))])

                def groups(more: Query | None, by: str = by) -> Groups:
                    cursor = [] if more is None else [("cursor", str(more.after))]
                    asked = parse_groups([("by", by), ("since", str(since)), ("until", str(since + 3600)), *cursor])
                    return store.read(lambda reader: reading.groups(reader, asked, Budget()))

                measured(f"groups, {grouping.by[0]}", groups)
            print("too slow:", ", ".join(slow) or "none")


if __name__ == "__main__":
    main()
