"""How many bytes a record takes with each wire, and how large a spool grows while the engine is away.

    python -m benchmarks.sizes        in tests; prints two tables

Records are those of `compression`: varied messages, fields that repeat, ids that do not, a traceback in 1 % of them.
They are logged into a spool whose server refuses every connection, as many a batch as come in a `flush_interval` of one
second, and the files are counted as the disk charges them.
"""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from logcollector_handler import LogCollectorHandler
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.compression import decompress

from .compression import records

#: Records a second, and how many of them make a batch: `batch_size` at most.
RATES: Final = {10: 10, 100: 100, 1_000: 1_000, 10_000: 1_000}
#: Batches that are looked at.
_BATCHES: Final = 20
_HOUR: Final = 3600


class Sizes(NamedTuple):
    """Bytes of one record."""

    plain: float
    #: As it is posted: compressed, if its batch is.
    sent: float
    #: What the disk charges for it.
    charged: float


def measured(wire: str, batch_size: int) -> Sizes:
    """What is in a spool after some batches."""
    with tempfile.TemporaryDirectory() as directory, socket.socket() as refusing:
        # Bound, and so nobody else's; it does not listen.
        refusing.bind(("127.0.0.1", 0))
        handler = LogCollectorHandler(
            server_url=f"http://127.0.0.1:{refusing.getsockname()[1]}",
            wire=wire,
            spool_dir=directory,
            batch_size=batch_size,
            flush_interval=60.0,
            overflow="block",
            shutdown_timeout=0.1,
            service="shop",
            environment="production",
            service_version="v1.2.3",
        )
        for record in records(batch_size * _BATCHES):
            handler.handle(record)
        paths: list[Path] = []
        while len(paths) < _BATCHES:
            time.sleep(0.1)
            paths = [path for path in Path(directory).glob("*/*") if FORMATS[wire].suffix in path.suffixes]
        handler.close()
        status = [path.stat() for path in paths]
        total = batch_size * _BATCHES
        return Sizes(
            sum(map(plain_size, paths)) / total,
            sum(each.st_size for each in status) / total,
            sum(each.st_blocks for each in status) * 512 / total,
        )


def plain_size(path: Path) -> int:
    """The size of a batch before compression."""
    content = path.read_bytes()
    return len(decompress(content) if path.suffix == ".gz" else content)


def main() -> None:
    """Print the tables."""
    sizes = {(wire, count): measured(wire, count) for wire in FORMATS for count in sorted(set(RATES.values()))}
    print("| wire | records a batch | bytes of a record | as it is posted |\n|---|---|---|---|")
    for (wire, count), found in sizes.items():
        print(f"| `{wire}` | {count:,} | {found.plain:.0f} | {found.sent:.0f} |")
    print(f"\n| records a second | {' | '.join(f'`{wire}`' for wire in FORMATS)} |\n|---|{'---|' * len(FORMATS)}")
    for rate, count in RATES.items():
        hours = " | ".join(f"{sizes[wire, count].charged * rate * _HOUR / 1e6:,.0f} MB" for wire in FORMATS)
        print(f"| {rate:,} | {hours} |")


if __name__ == "__main__":
    main()
