"""What a level of gzip costs and saves, on batches as an application makes them.

    python -m benchmarks.compression        in tests; prints a table

The levels in `wire.compression` were chosen by it. 1,000 records of 453 bytes, two cores of an AMD EPYC:

             ms   bytes a record
    isal 0  0.29  92
    isal 1  0.30  70    used
    isal 2  0.32  70
    isal 3  1.17  69
    zlib 1  2.6   75
    zlib 3  3.0   69    used where isal has no wheel
    zlib 6  7.6   60
    zlib 9  18    57
"""

from __future__ import annotations

import gzip
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator

from isal import igzip

from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.redact import DEFAULT_REDACT
from logcollector_handler.wire.collector import CollectorFormat

_FORMAT = CollectorFormat()
_LIMIT = 256 * 1024
_WORDS = (
    *("payment", "order", "declined", "card", "of", "customer", "timeout", "while", "reading"),
    *("from", "upstream", "retry", "cache", "miss", "for", "key"),
)


def records(count: int) -> Iterator[logging.LogRecord]:
    """Varied messages, fields that repeat, ids that do not, and a traceback in 1 % of records."""
    rng = random.Random(5)
    for number in range(count):
        site = rng.randrange(40)
        exc_info = None
        if number % 100 == 0:
            try:
                int("no number")
            except ValueError:
                exc_info = sys.exc_info()
        extra = {
            "user_id": rng.randrange(100_000),
            "trace_id": f"{rng.getrandbits(128):032x}",
            "duration_ms": rng.expovariate(1 / 40),
            "path": rng.choice(["/cart", "/checkout", "/search"]),
        }
        message = " ".join(rng.choices(_WORDS, k=8)) + " %d"
        logger = logging.getLogger(f"shop.part{site % 7}")
        made = logger.makeRecord(
            logger.name,
            20,
            f"/srv/shop/part{site % 7}.py",
            site * 11,
            message,
            (number,),
            exc_info,
            f"step{site}",
            extra,
        )
        made.created += number / 900
        yield made


def batch(count: int) -> bytes:
    """The body of a batch of these records."""
    builder = EntryBuilder(
        service="shop",
        environment="production",
        service_version="v1.2.3",
        log_type="BACKEND",
        redact=DEFAULT_REDACT,
        max_record_bytes=_LIMIT,
        usual_length=_LIMIT,
        site_entry=_FORMAT.site_entry,
        common=_FORMAT.common,
    )
    return _FORMAT.join(_FORMAT.encode([builder.build(record) for record in records(count)], _LIMIT))


def main() -> None:
    ways: dict[str, Callable[[bytes], bytes]] = {"none": bytes}
    for level in range(4):
        ways[f"isal {level}"] = lambda body, level=level: igzip.compress(body, level)  # type: ignore[misc]
    for level in range(1, 10):
        ways[f"zlib {level}"] = lambda body, level=level: gzip.compress(body, level)  # type: ignore[misc]
    for count in (100, 1000):
        body = batch(count)
        print(f"\n{count} records, {len(body):,} bytes\n{'':8}{'ms':>8}{'bytes':>10}{'a record':>10}{'ratio':>8}")
        for name, way in ways.items():
            took = []
            for _ in range(30):
                start = time.perf_counter()
                made = way(body)
                took.append(time.perf_counter() - start)
            print(f"{name:8}{min(took) * 1e3:8.3f}{len(made):10,}{len(made) / count:10.1f}{len(body) / len(made):8.2f}")


if __name__ == "__main__":
    main()
