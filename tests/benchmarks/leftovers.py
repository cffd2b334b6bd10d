"""A spool in which a killed process left thousands of files, and a process that uses it next.

    python -m benchmarks.leftovers URL OTHER_URL [COUNT]      in tests; prints one line of JSON

URL and OTHER_URL are two sinks. A process fills a spool for the first, one record a file, while that is down, and dies.
Then `posted_s` is how long it takes to post the same bodies to the other sink, one after the other with an ordinary
`httpx.Client`; `delivered_s` how long a handler takes until all of them arrived; and `fresh_s` the longest that one of
the ERRORs took that were logged meanwhile, from the call to the answer, in seconds.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from logcollector_handler import LogCollectorHandler

from .sink import SPAN
from .worker import serve

COUNT = 20_000
#: Seconds between two fresh ERRORs, between two looks at the count, and that the handler may take for everything.
_FRESH_EVERY = 0.5
_LOOK_EVERY = 0.01
_TOO_LONG = 240.0

log = logging.getLogger("shop")


def bodies_in(spool: Path) -> list[Path]:
    return [path for path in spool.glob("*/*.json") if path.is_file()]


def fill(url: str, spool: Path, count: int) -> None:
    """Leave `count` files behind. Ends the process."""
    handler = LogCollectorHandler(server_url=url, spool_dir=str(spool), batch_size=1, overflow="block")
    log.addHandler(handler)
    for number in range(count):
        log.warning("order %d placed", number)
    while len(bodies_in(spool)) < count:
        time.sleep(0.2)
    os._exit(0)


def posting(url: str, bodies: list[bytes]) -> float:
    """Seconds that it takes to post them, one after the other."""
    with httpx.Client() as client:
        start = time.perf_counter()
        for body in bodies:
            client.post(f"{url}/logs", content=body, headers={"Content-Type": "application/json"}).raise_for_status()
        return time.perf_counter() - start


def delivering(url: str, spool: Path, count: int) -> dict[str, float]:
    """What a handler that finds them takes."""
    start = time.monotonic()
    handler = LogCollectorHandler(server_url=url, spool_dir=str(spool))
    log.addHandler(handler)
    fresh = 0
    slowest = spent = 0.0
    while handler.stats().adopted.get("delivered", 0) < count and spent < _TOO_LONG:
        if spent >= fresh * _FRESH_EVERY:
            before = time.monotonic()
            log.error("order %d failed", SPAN + fresh)
            handler.flush(_TOO_LONG)
            slowest = max(slowest, time.monotonic() - before)
            fresh += 1
        time.sleep(_LOOK_EVERY)
        spent = time.monotonic() - start
    return {"delivered_s": spent, "fresh_s": slowest, "calls": count + fresh}


def main(url: str, other_url: str, count: str = str(COUNT)) -> None:
    log.propagate = False
    with tempfile.TemporaryDirectory(prefix="logcollector-benchmark-") as directory:
        spool = Path(directory) / "spool"
        serve(url, "down")
        subprocess.run([sys.executable, "-m", "benchmarks.leftovers", "fill", url, str(spool), count], check=True)
        posted = posting(other_url, [path.read_bytes() for path in bodies_in(spool)])
        serve(url, "0")
        print(json.dumps({"posted_s": posted, **delivering(url, spool, int(count))}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    main(*sys.argv[1:])
