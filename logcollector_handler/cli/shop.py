"""The example application of `logcollector demo`: a shop that logs typical records, in a process of its own.

For the demo that started it, it prints its progress as a line of JSON twice a second, and its results as the last line.
"""

from __future__ import annotations

import json
import logging
import logging.config
import random
import statistics
import sys
import time
from typing import Any, Final

from logcollector_handler import LogCollectorHandler

orders: Final = logging.getLogger("shop.orders")
payments: Final = logging.getLogger("shop.payments")
database: Final = logging.getLogger("shop.database")

#: Seconds between two bursts of records: 1,000 records a second are ten records a burst.
_BEAT = 0.01
#: Maximum size of a burst, in seconds of logging at the given rate, on a machine that cannot keep up.
_LONGEST_BURST = 0.05
#: Seconds between two lines of JSON.
_SAY_EVERY = 0.5
#: Seconds to wait at the end until the last records are delivered.
_PATIENCE = 10.0


def configure(server_url: str) -> LogCollectorHandler:
    """Configure logging with one dictConfig entry, as any application would, and return the handler."""
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


class Stopwatch:
    """Measures how long each `with` block takes, in seconds. The shop puts only its logging calls into such blocks."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def __enter__(self) -> None:
        self._before = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.calls.append(time.perf_counter() - self._before)


class CardDeclinedError(Exception):
    """The bank refused the payment."""


def charge(amount: float) -> None:
    """A payment that fails."""
    try:
        _ask_bank(amount)
    except ConnectionError as error:
        raise CardDeclinedError(f"could not charge {amount:.2f} EUR") from error


def _ask_bank(amount: float) -> None:
    raise ConnectionError(f"bank.example closed the connection at {amount:.2f}")


def one_event(number: int, chance: random.Random, measured: Stopwatch) -> None:
    """Log one record of a random kind. The demo finds it in the store by its `number`."""
    user = f"user-{chance.randrange(500)}"
    amount = round(chance.uniform(5, 500), 2)
    kind = chance.random()
    if kind < 0.55:
        with measured:
            orders.info("order %d placed", number, extra={"number": number, "user_id": user, "amount": amount})
    elif kind < 0.85:
        took, rows = chance.expovariate(1 / 12), chance.randrange(90)
        with measured:
            database.debug("SELECT * FROM products", extra={"number": number, "duration_ms": took, "rows": rows})
    elif kind < 0.98:
        fields = {"number": number, "user_id": user, "action_type": "charge"}
        with measured:
            payments.info("charged %.2f EUR", amount, extra=fields)
    elif kind < 0.995:
        product = chance.randrange(100)
        with measured:
            orders.warning("stock of product %d is low", product, extra={"number": number})
    else:
        try:
            charge(amount)
        except CardDeclinedError:
            fields = {"number": number, "user_id": user, "path": "/checkout"}
            with measured:
                payments.exception("payment of %s failed", user, extra=fields)


def due(passed: float, seconds: float, rate: float, logged: int) -> int:
    """How many records should be logged in total, `passed` seconds after the start, at `rate` a second for `seconds`.

    At most _LONGEST_BURST more than are `logged` already, so that the caller reads the clock again soon.
    """
    return min(int(min(passed, seconds) * rate), logged + max(1, int(_LONGEST_BURST * rate)))


def main(server_url: str, seconds: float, rate: float) -> None:
    """Log `rate` records a second for `seconds` seconds, and print progress and results as lines of JSON."""
    handler = configure(server_url)
    chance = random.Random(1)  # noqa: S311 - nothing secret is drawn
    measured = Stopwatch()
    number = 0
    passed = said = 0.0
    start = time.monotonic()
    while passed < seconds:
        passed = time.monotonic() - start
        goal = due(passed, seconds, rate, number)
        while number < goal:
            number += 1
            one_event(number, chance, measured)
        if passed - said >= _SAY_EVERY:
            said = passed
            _say(logged=number, seconds=passed)
        time.sleep(max(0.0, min(_BEAT, start + seconds - time.monotonic())))
    handler.flush(_PATIENCE)
    stats = handler.stats()
    _say(
        done=True,
        logged=number,
        dropped=dict(stats.dropped),
        dead_lettered=stats.dead_lettered,
        pending=stats.pending,
        batches=stats.batches,
        encoded_bytes=stats.encoded_bytes,
        sent_bytes=stats.sent_bytes,
        median=statistics.median(measured.calls) if measured.calls else 0.0,
        slowest=max(measured.calls, default=0.0),
    )


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
