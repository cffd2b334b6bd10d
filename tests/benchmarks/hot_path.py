"""What a logging call costs, as a ratio to the same call into a handler that does nothing.

Prints one line of JSON. Both kinds of call take turns in short rounds, and the fastest round of each counts: what
else the machine does makes rounds slower, never faster, so the ratio of the fastest is the steadiest
number there is. Only the caller's side is measured: nobody empties the queue meanwhile. Nothing compares these times
with a limit, because the ratio differs from processor to processor; the check compares the numbers of `counts.py`.

    python tests/benchmarks/hot_path.py
"""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import time
from collections.abc import Callable

from logcollector_handler import LogCollectorHandler, log_context

CALLS = 300
ROUNDS = 150
FRAMES = 30


class Floor(logging.Handler):
    """Does nothing with a record."""

    def emit(self, record: logging.LogRecord) -> None:
        pass


def plain(log: logging.Logger) -> None:
    for _ in range(CALLS):
        log.info("order %d placed", 5)


def three_extras(log: logging.Logger) -> None:
    extra = {"user_id": "u-1", "amount": 12.5, "currency": "EUR"}
    for _ in range(CALLS):
        log.info("order %d placed", 5, extra=extra)


def three_bound(log: logging.Logger) -> None:
    with log_context(user_id="u-1", amount=12.5, currency="EUR"):
        plain(log)


def raise_below(frames: int) -> None:
    if frames > 1:
        raise_below(frames - 1)
    raise ValueError("the bank said no")


def exception(log: logging.Logger) -> None:
    try:
        raise_below(FRAMES - 1)
    except ValueError:
        start = time.perf_counter()
        for _ in range(CALLS // 10):
            log.exception("payment failed")
        spent.append(time.perf_counter() - start)


spent: list[float] = []
KINDS: dict[str, Callable[[logging.Logger], None]] = {
    "plain": plain,
    "three_extras": three_extras,
    "three_bound": three_bound,
    "exception": exception,
}


def logger(name: str, handler: logging.Handler) -> logging.Logger:
    made = logging.getLogger(name)
    made.propagate = False
    made.setLevel(logging.DEBUG)
    made.addHandler(handler)
    return made


def stop_background() -> None:
    """Let each thread that starts from now on stand still, alive, until the process ends by `os._exit`."""
    threading.Thread.run = lambda self: threading.Event().wait()  # type: ignore[method-assign,assignment]


def measure(kind: str, log: logging.Logger) -> float:
    """Seconds for one call, from one round."""
    calls = CALLS // 10 if kind == "exception" else CALLS
    spent.clear()
    start = time.perf_counter()
    KINDS[kind](log)
    took = time.perf_counter() - start
    # Raising the exception is not part of the logging call.
    return (spent[0] if spent else took) / calls


def main() -> None:
    stop_background()
    handler = LogCollectorHandler(max_queue_size=10_000_000, max_queue_bytes=2**40)
    ours, floor = logger("ours", handler), logger("floor", Floor())
    result: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        best = {"ours": 1.0, "floor": 1.0}
        for _ in range(ROUNDS):
            for name, log in (("floor", floor), ("ours", ours)):
                gc.collect(0)
                best[name] = min(best[name], measure(kind, log))
                handler._queue_handler.queue.clear()
        result[kind] = {
            "floor_us": round(best["floor"] * 1e6, 3),
            "ours_us": round(best["ours"] * 1e6, 3),
            "ratio": round(best["ours"] / best["floor"], 3),
        }
    print(json.dumps(result), flush=True)
    # The exit of the interpreter would wait for the threads that stand still.
    os._exit(0)


if __name__ == "__main__":
    main()
