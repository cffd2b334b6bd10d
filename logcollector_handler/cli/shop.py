"""The example application of `logcollector demo`: a shop that logs as applications do, in a process of its own.

It prints a line of JSON twice a second and a last one when it is done, for the demo that started it.
"""

from __future__ import annotations

import json
import logging
import logging.config
import random
import statistics
import sys
import time
from typing import Any

from logcollector_handler.handler import LogCollectorHandler

orders = logging.getLogger("shop.orders")
payments = logging.getLogger("shop.payments")
database = logging.getLogger("shop.database")

#: Seconds between two bursts of records; a rate of 1,000 is ten records a burst.
_BEAT = 0.01


def configure(server_url: str) -> LogCollectorHandler:
    """One dictConfig entry, as in any application."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "collector": {
                    "class": "logcollector_handler.LogCollectorHandler",
                    "server_url": server_url,
                    "service": "shop",
                    "environment": "local",
                    "service_version": "v1.0.0",
                }
            },
            "root": {"level": "DEBUG", "handlers": ["collector"]},
        }
    )
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, LogCollectorHandler)  # noqa: S101 - for the type checker
    return handler


class CardDeclinedError(Exception):
    """The bank said no."""


def charge(amount: float) -> None:
    """A payment that fails."""
    try:
        _ask_bank(amount)
    except ConnectionError as error:
        raise CardDeclinedError(f"could not charge {amount:.2f} EUR") from error


def _ask_bank(amount: float) -> None:
    raise ConnectionError(f"bank.example closed the connection at {amount:.2f}")


def one_event(number: int, chance: random.Random) -> None:
    """Log one record. `number` makes it known again in the store."""
    user = f"user-{chance.randrange(500)}"
    amount = chance.uniform(5, 500)
    kind = chance.random()
    extra: dict[str, Any] = {"number": number}
    if kind < 0.55:
        orders.info("order %d placed", number, extra={**extra, "user_id": user, "amount": round(amount, 2)})
    elif kind < 0.85:
        took = chance.expovariate(1 / 12)
        database.debug("SELECT * FROM products", extra={**extra, "duration_ms": took, "rows": chance.randrange(90)})
    elif kind < 0.98:
        payments.info("charged %.2f EUR", amount, extra={**extra, "user_id": user, "action_type": "charge"})
    elif kind < 0.995:
        orders.warning("stock of product %d is low", chance.randrange(100), extra=extra)
    else:
        try:
            charge(amount)
        except CardDeclinedError:
            payments.exception("payment of %s failed", user, extra={**extra, "user_id": user, "path": "/checkout"})


def main(server_url: str, seconds: float, rate: float) -> None:
    """Log `rate` records a second for that many seconds, and say how it went."""
    handler = configure(server_url)
    chance = random.Random(1)  # noqa: S311 - nothing secret is drawn
    calls: list[float] = []
    start = said = time.monotonic()
    end = start + seconds
    number = 0
    while (now := time.monotonic()) < end:
        while number < (now - start) * rate:
            number += 1
            before = time.perf_counter()
            one_event(number, chance)
            calls.append(time.perf_counter() - before)
        if now - said >= 0.5:
            said = now
            _say(logged=number, seconds=now - start)
        time.sleep(_BEAT)
    handler.flush(30)
    stats = handler.stats()
    _say(
        done=True,
        logged=number,
        delivered=stats.delivered,
        dropped=dict(stats.dropped),
        dead_lettered=stats.dead_lettered,
        pending=stats.pending,
        batches=stats.batches,
        encoded_bytes=stats.encoded_bytes,
        sent_bytes=stats.sent_bytes,
        median=statistics.median(calls) if calls else 0.0,
        slowest=max(calls, default=0.0),
    )


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
