"""Records go to a real ClickHouse while it is killed and started again, and are counted there.

The application lives on, as it does in most outages of an engine, so the spool of its handler keeps what waits. Every
body that is posted is kept too: `clickhouse_today.py` gives the same bodies to the engine of today, which stores each
batch once, because it knows their ids.

By itself, for more records than the test suite has time for:

    python tests/integration/clickhouse.py --records 1000000 --kills 5
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    # Behind the others, so that an installed package is the one that is tested.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from logcollector_handler import LogCollectorHandler
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.stats import Stats
from logcollector_handler.wire.compression import decompress
from tests.clickhouse_server import ClickHouse, clickhouse

_TODAY: Final = Path(__file__).with_name("clickhouse_today.py")
#: Seconds after the start of a request within which its server is killed: some requests are over by then.
_WITHIN: Final = 0.02


class Posts:
    """The bodies that a handler posts, in their order, as files of a directory: what a server may have read."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.count = 0

    def keep(self, batch_id: str, body: bytes, compressed: bool) -> None:
        self.count += 1
        path = self.directory / f"{self.count:06}_{batch_id}"
        path.write_bytes(decompress(body) if compressed else body)


@dataclass
class Outcome:
    """What became of the records."""

    seconds: float
    #: Requests with a batch.
    posts: Posts
    #: What the handler counted.
    stats: Stats
    #: Rows in the table, and different records among them.
    rows: int
    distinct: int


def outlast(directory: Path, records: int, kills: int, batch_size: int = 1000) -> Outcome:
    """Log so many records while the server is killed so many times, evenly over the batches."""
    for name in ("server", "spool"):
        (directory / name).mkdir()
    posts = Posts(directory / "posts")
    at = {records * number // (kills + 1) // batch_size for number in range(1, kills + 1)}
    with clickhouse(directory / "server") as server:
        start = time.monotonic()
        with kept_posts(posts, at, lambda: kill_soon(server)):
            stats = log_records(server, directory / "spool", records, batch_size)
        seconds = time.monotonic() - start
        ((rows, distinct, others),) = server.query(
            "SELECT count(), uniqExact(message), countIf(not match(message, '^record [0-9]+$')) FROM logs"
        )
    assert others == "0"
    return Outcome(seconds, posts, stats, int(rows), int(distinct))


def log_records(server: ClickHouse, spool_dir: Path, records: int, batch_size: int) -> Stats:
    """Log them as fast as the handler takes them, and wait until all are delivered."""
    handler = LogCollectorHandler(
        server_url=server.url(), wire="ndjson", service="shop", spool_dir=spool_dir, batch_size=batch_size
    )
    log = logging.Logger("shop")  # noqa: LOG001 - one that only this run has
    log.addHandler(handler)
    try:
        for number in range(records):
            log.info("record %d", number, extra={"order": number})
        assert handler.flush(timeout=600), handler.stats()
        return handler.stats()
    finally:
        handler.close()


def kill_soon(server: ClickHouse) -> None:
    """Kill the server a moment later, and start it again."""
    time.sleep(random.uniform(0, _WITHIN))
    server.kill()
    server.start()


@contextmanager
def kept_posts(posts: Posts, at: set[int], meanwhile: Callable[[], None]) -> Iterator[None]:
    """Keep what is posted. Beside the requests of the numbers `at`, `meanwhile` is called in a thread of its own."""
    real = HttpTransport.post
    called = []

    def post(self: HttpTransport, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        posts.keep(batch_id, body, compressed)
        if posts.count in at:
            called.append(beside.submit(meanwhile))
        return real(self, batch_id, body, compressed, seconds)

    with ThreadPoolExecutor(1) as beside:
        HttpTransport.post = post  # type: ignore[method-assign]
        try:
            yield
        finally:
            HttpTransport.post = real  # type: ignore[method-assign]
    assert [each.exception() for each in called] == [None] * len(at)


def stored_today(posts: Posts) -> dict[str, Any]:
    """What the ClickHouse of today makes of the same posts: see `clickhouse_today`."""
    command = [sys.executable, str(_TODAY), str(posts.directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


def main() -> None:
    """Print a table of counts; the exit code is 1 if a record is missing."""
    parser = argparse.ArgumentParser(description="Counts what arrives in a ClickHouse that is killed meanwhile.")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = outlast(Path(directory), asked.records, asked.kills, asked.batch_size)
        rows = {
            "records logged": asked.records,
            "server killed": asked.kills,
            "records a second": round(asked.records / found.seconds),
            "requests": found.posts.count,
            "rows": found.rows,
            "distinct records": found.distinct,
            "missing": asked.records - found.distinct,
            "repeats": found.rows - found.distinct,
        }
        if importlib.util.find_spec("chdb"):
            today = stored_today(found.posts)
            rows |= {
                f"ClickHouse {today['version']}, each post stored": today["stored_each"],
                f"ClickHouse {today['version']}, with the token": today["stored_once"],
            }
    for name, number in rows.items():
        print(f"| {name} | {number:,} |")
    sys.exit(found.distinct != asked.records)


if __name__ == "__main__":
    main()
