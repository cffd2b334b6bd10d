"""Times: how long blocks, functions and coroutines take, in the column `duration_ms`.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import asyncio
import contextlib
import logging
import logging.config
import time

from logcollector_handler import end_timer, measure, start_timer, timer


@measure("Process payment", currency="EUR")
def pay(amount: float) -> float:
    """Take a while, or fail: then it is an ERROR with the stack trace."""
    if amount < 0:
        raise ValueError(f"cannot pay {amount}")
    time.sleep(0.01)
    return amount


@measure("Fetch rates")
async def fetch() -> None:
    """Take a while in an event loop."""
    await asyncio.sleep(0.01)


def main() -> None:
    """Take the time of a few things."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"}},
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    with timer("Database query", rows=3):
        time.sleep(0.01)
    started = start_timer("Import", source="rates.csv")
    asyncio.run(fetch())
    end_timer(started, rows=7)
    pay(48.0)
    with contextlib.suppress(ValueError):
        pay(-1.0)


if __name__ == "__main__":
    main()
