"""One contender at one kind of work, in a process of its own. Prints what it measured as JSON.

    python -m benchmarks.worker CONTENDER SCENARIO URL [NAME=VALUE ...]

A scenario says what it does, in which units its answer is, and what NAMEs it takes. The process ends without
ceremony: what a contender would still do at exit is not waited for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import threading
import time
import urllib.request
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS, Flush
from .sink import SPAN, WARM_UP

log = logging.getLogger("shop")
Call = Callable[[int], None]

#: Longest wait for a contender to send what it holds, in seconds.
DRAIN = 20.0
FRAMES = 30
_THREE = {"user_id": "u-1", "amount": 12.5, "currency": "EUR"}
_TEN = {
    **_THREE,
    "path": "/checkout",
    "method": "POST",
    "items": 3,
    "coupon": None,
    "new": True,
    "city": "Ulm",
    "t": 0.5,
}
_LARGE = "order %d placed " + "the quick brown fox, jumps over; " * 310
_HUGE = "order %d placed " + "the quick brown fox, jumps over; " * 6200


# What is logged


def plain(number: int) -> None:
    log.info("order %d placed", number)


def three(number: int) -> None:
    log.info("order %d placed", number, extra=_THREE)


def ten(number: int) -> None:
    log.info("order %d placed", number, extra=_TEN)


def large(number: int) -> None:
    log.info(_LARGE, number)


def huge(number: int) -> None:
    log.info(_HUGE, number)


def _raised(frames: int) -> None:
    if frames > 1:
        _raised(frames - 1)
    raise ValueError("the bank said no")


def exception_of(error: BaseException) -> Call:
    def exception(number: int) -> None:
        log.error("order %d failed", number, exc_info=error)

    return exception


def call_of(kind: str) -> Call:
    if kind != "exception":
        return {"plain": plain, "three": three, "ten": ten, "large": large, "huge": huge}[kind]
    try:
        _raised(FRAMES)
    except ValueError as error:
        return exception_of(error)
    raise AssertionError


# Measuring


def peak_mib() -> float:
    """The most memory that the process had resident so far."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def told(took: Iterable[float]) -> dict[str, float]:
    """Of the seconds that each call took, what people ask for, in microseconds."""
    ranked = sorted(took)
    shares = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}
    return {name: ranked[int(len(ranked) * share)] * 1e6 for name, share in shares.items()} | {
        "worst_us": ranked[-1] * 1e6
    }


def timed(call: Call, first: int, took: array[float]) -> None:
    clock = time.perf_counter
    for index in range(len(took)):
        before = clock()
        call(first + index)
        took[index] = clock() - before


# Scenarios


def speed(flush: Flush, kind: str = "plain", count: int = 50_000, threads: int = 1) -> dict[str, float]:
    """`count` calls altogether, as fast as so many threads can."""
    call = call_of(kind)
    tooks = [array("d", bytes(8 * (count // threads))) for _ in range(threads)]
    workers = [threading.Thread(target=timed, args=(call, n * SPAN, took)) for n, took in enumerate(tooks)]
    memory, cpu, start = peak_mib(), time.process_time(), time.monotonic()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    logged = time.monotonic() - start
    flush(DRAIN)
    cpu = time.process_time() - cpu
    # Before the times are sorted, which takes memory too.
    peak = peak_mib()
    return {
        **told([each for took in tooks for each in took]),
        "calls": count // threads * threads,
        "calls_per_s": count / logged,
        "start": start,
        "cpu_s": cpu,
        "grown_mib": peak - memory,
        "peak_mib": peak,
    }


def paced(flush: Flush, kind: str = "plain", rate: int = 5000, seconds: int = 4) -> dict[str, float]:
    """So many calls a second, evenly."""
    call = call_of(kind)
    took = array("d", bytes(8 * rate * seconds))
    cpu, start = time.process_time(), time.monotonic()
    for number in range(len(took)):
        while time.monotonic() < start + number / rate:
            time.sleep(0.0001)
        before = time.perf_counter()
        call(number)
        took[number] = time.perf_counter() - before
    flush(min(DRAIN, 5.0))
    return {**told(took), "calls": len(took), "start": start, "cpu_s": time.process_time() - cpu}


def loop(flush: Flush, rate: int = 2000, seconds: int = 4) -> dict[str, float]:
    """An asyncio application that logs every 5 ms, and how late its loop is meanwhile with a timer of 2 ms."""
    late = array("d")

    async def heart() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - due)

    async def work() -> int:
        beating = asyncio.create_task(heart())
        done = 0
        while done < rate * seconds:
            for _ in range(rate // 200):
                three(done)
                done += 1
            await asyncio.sleep(0.005)
        beating.cancel()
        return done

    start = time.monotonic()
    calls = asyncio.run(work())
    flush(min(DRAIN, 5.0))
    return {**told(late), "calls": calls, "start": start}


def outage(flush: Flush, kind: str = "plain", count: int = 1_000_000) -> dict[str, float]:
    """So many calls while the server answers 503, at most 60,000 a second; then it comes back."""
    call = call_of(kind)
    memory, start = peak_mib(), time.monotonic()
    serve(url, "down")
    for number in range(count):
        call(number)
        if number % 100 == 0:
            time.sleep(0.001)
    grown = peak_mib() - memory
    serve(url, "0")
    flush(120)
    # Only this package's handler is measured here: no other says what it dropped.
    (handler,) = log.handlers
    dropped = sum(handler.stats().dropped.values())  # type: ignore[attr-defined]  # imported by its contender alone
    return {"grown_mib": grown, "calls": count, "start": start, "dropped": dropped}


SCENARIOS: dict[str, Callable[..., dict[str, float]]] = {each.__name__: each for each in (speed, paced, loop, outage)}


def serve(url: str, how: str) -> None:
    """Tell the sink at that address how to answer from now on."""
    urllib.request.urlopen(f"{url}/serve?delay={how}", timeout=60).close()


def main(contender: str, scenario: str, *settings: str) -> None:
    given: dict[str, Any] = dict(each.split("=") for each in settings)
    delay = given.pop("delay", "0")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    flush = CONTENDERS[contender].start(log, url)
    numbers = {name: int(value) if value.isdigit() else value for name, value in given.items()}
    call = call_of(given.get("kind", "plain"))
    for number in range(500):
        call(WARM_UP * SPAN + number)
    flush(10.0)
    if delay != "0":
        serve(url, delay)
    print(json.dumps(SCENARIOS[scenario](flush, **numbers)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    url = sys.argv.pop(3)
    main(*sys.argv[1:])
