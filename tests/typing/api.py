"""What every public name is to a type checker, used as its users do. mypy and pyright read this file; nobody runs it.

A line with `# type: ignore[...]` is a misuse: both checkers must refuse it, and fail if they do not.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import loguru
import prometheus_client
import structlog
from opentelemetry.metrics import get_meter
from typing_extensions import assert_type

import logcollector_handler
from logcollector_handler import (
    LogClient,
    LogCollectorHandler,
    RateLimitFilter,
    SettingError,
    Stats,
    bind_context,
    capture_uncaught,
    clear_context,
    drain_on_signals,
    end_timer,
    get_handler,
    log_context,
    measure,
    start_timer,
    timer,
)
from logcollector_handler.integrations import asgi, browser, celery, rq, wsgi
from logcollector_handler.integrations.loguru import LogCollectorSink
from logcollector_handler.integrations.opentelemetry import observe_stats
from logcollector_handler.integrations.prometheus import StatsCollector
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.settings import Settings
from logcollector_handler.testing import CapturedLogs, CapturingHandler, CollectorServer, Limits, ReceivedRequest

assert_type(logcollector_handler.__version__, str)

# The handler and its settings

handler = get_handler("collector")
assert_type(handler, LogCollectorHandler)
get_handler(5)  # type: ignore[arg-type]

LogCollectorHandler(
    "INFO",
    server_url="https://logs.example.com/team",
    service="shop",
    environment="production",
    service_version="v1.2.3",
    log_type="WORKER",
    batch_size=500,
    flush_interval=0.5,
    flush_level="ERROR",
    max_queue_size=5000,
    max_queue_bytes=2**20,
    overflow="block",
    enable_compression=False,
    max_retries=5,
    timeout=2,
    max_batch_bytes=2**20,
    max_record_bytes=2**16,
    max_buffer_bytes=2**24,
    shutdown_timeout=3.5,
    api_key="...",
    headers={"X-Team": "a"},
    verify=Path("ca.pem"),
    client_cert=["client.pem", Path("client.key")],
    proxy="http://proxy:3128",
    enabled=True,
    wire="otlp",
    spool_dir=Path("/var/spool/shop"),
    durability="record",
    fsync=True,
    max_spool_bytes=2**30,
    redact=["pin"],
    redact_patterns="common",
)
LogCollectorHandler(level=20, batch_size=None, service=None, headers=None, verify=False, flush_level=logging.WARNING)
LogCollectorHandler(batchsize=5)  # type: ignore[call-arg]
LogCollectorHandler("INFO", "shop")  # type: ignore[call-arg]
LogCollectorHandler(batch_size="5")  # type: ignore[arg-type]
LogCollectorHandler(enable_compression=1)  # type: ignore[arg-type]
LogCollectorHandler(headers={"X-Team": 1})  # type: ignore[dict-item]
LogCollectorHandler(redact_patterns=5)  # type: ignore[arg-type]

logging.getLogger().addHandler(handler)
handler.setLevel("WARNING")
handler.setFormatter(logging.Formatter("%(message)s"))
handler.setFormatter(None)
handler.addFilter(RateLimitFilter(10, per=60))
RateLimitFilter(rate=5)
RateLimitFilter("5")  # type: ignore[arg-type]
RateLimitFilter(5, every=60)  # type: ignore[call-arg]
assert_type(handler.flush(), bool)
assert_type(handler.flush(timeout=2.5), bool)
handler.flush("2.5")  # type: ignore[arg-type]
handler.close()

settings = Settings(flush_level="ERROR", client_cert="client.pem")
assert_type(settings.batch_size, int)
assert_type(settings.flush_level, int)
assert_type(settings.service, "str | None")
assert_type(settings.headers, Mapping[str, str])
assert_type(settings.client_cert, "str | tuple[str, str] | None")
settings.batch_size = 5  # type: ignore[misc]

try:
    LogCollectorHandler(overflow="wait")
except SettingError as error:
    refused: ValueError = error

stats = handler.stats()
assert_type(stats, Stats)
for count in (
    stats.accepted,
    stats.delivered,
    stats.dead_lettered,
    stats.pending,
    stats.batches,
    stats.requests,
    stats.encoded_bytes,
    stats.sent_bytes,
):
    assert_type(count, int)
assert_type(stats.dropped, Mapping[str, int])
assert_type(stats.adopted["delivered"], int)
stats.accepted = 5  # type: ignore[misc]
stats.dropped["shutdown"] = 5  # type: ignore[index]
str(stats.lost)  # type: ignore[attr-defined]
json.dumps(stats.dropped)
pickle.dumps(stats)

# LogClient

with LogClient(service="shop", flush_level="ERROR", headers={"X-Team": "a"}, level="INFO") as client:
    assert_type(client, LogClient)
    client.log("WARN", "declined", amount=1.5)
    client.log(logging.INFO, "paid")
    client.trace("a")
    client.debug("a", user_id=7)
    client.info("a", user_id=7)
    client.warn("a", user_id=7)
    client.warning("a", user_id=7)
    client.error("a", user_id=7)
    client.fatal("a", user_id=7)
    client.critical("a", user_id=7)
    client.error_with_trace("failed", ValueError("why"), order=3)
    client.exception("failed", order=3)
    with client.timer("query", rows=3) as running:
        assert_type(client.end_timer(running, more=True), float)
    client.end_timer(client.start_timer("import"))
    assert_type(client.flush(2.0), bool)
    assert_type(client.handler.stats(), Stats)
LogClient(servce="shop")  # type: ignore[call-arg]
LogClient(batch_size="many")  # type: ignore[arg-type]
LogClient([])  # type: ignore[arg-type]
client.info(7)  # type: ignore[arg-type]
client.info("paid", 7)  # type: ignore[call-arg]
client.log(None, "paid")  # type: ignore[arg-type]
client.error_with_trace("failed", "why")  # type: ignore[arg-type]


@client.measure("Sell", shop=1)
def sell(item: str) -> int:
    return len(item)


@client.measure
def buy(item: str) -> int:
    return len(item)


assert_type(sell("book"), int)
assert_type(buy("book"), int)
sell(1)  # type: ignore[arg-type]
buy(1)  # type: ignore[arg-type]

# Timers. What is measured keeps its signature.


@measure("Process payment", logger=logging.getLogger("payments"), currency="EUR")
def pay(amount: float, *, fee: float = 0.0) -> str:
    return str(amount + fee)


@measure
def refund(amount: float, *, fee: float = 0.0) -> str:
    return str(amount - fee)


@measure(level=logging.DEBUG, currency="EUR")
def cancel(order: int) -> bool:
    return order > 0


@measure("Fetch")
async def fetch(number: int) -> bytes:
    return bytes(number)


@measure
async def fetch_all(number: int) -> list[bytes]:
    return [await fetch(number)]


@measure
def rows(number: int) -> Iterator[int]:
    yield number


@measure("stream")
async def stream(number: int) -> AsyncIterator[int]:
    yield number


assert_type(pay(1.0, fee=2.0), str)
pay("much")  # type: ignore[arg-type]
pay(1.0, 2.0)  # type: ignore[call-arg]
wrong: int = pay(1.0)  # type: ignore[assignment]
pays: Callable[[float], str] = pay
assert_type(refund(1.0, fee=2.0), str)
refund("much")  # type: ignore[arg-type]
assert_type(cancel(5), bool)
cancel("five")  # type: ignore[arg-type]
fetching: Callable[[int], Awaitable[bytes]] = fetch
fetch("one")  # type: ignore[arg-type, unused-coroutine]
assert_type(rows(3), Iterator[int])
rows("three")  # type: ignore[arg-type]


async def use() -> None:
    assert_type(await fetch(1), bytes)
    assert_type(await fetch_all(1), list[bytes])
    async for number in stream(1):
        assert_type(number, int)


class Shop:
    @measure("sell")
    def sell(self, item: str) -> int:
        return len(item)

    @classmethod
    @measure("open")
    def open(cls, name: str) -> Shop:
        return cls()

    @classmethod
    @measure
    def close(cls, name: str) -> Shop:
        return cls()

    @staticmethod
    @measure("count")
    def count(when: float) -> None: ...

    @log_context(shop="corner")
    def clean(self, room: int) -> None: ...


assert_type(Shop().sell("book"), int)
assert_type(Shop.open("corner"), Shop)
assert_type(Shop.close("corner"), Shop)
Shop.count(1.5)
Shop().clean(1)
Shop().sell(1)  # type: ignore[arg-type]
Shop.open(1)  # type: ignore[arg-type]
Shop().clean("all")  # type: ignore[arg-type]
measure(5)  # type: ignore[call-overload]
measure("t", level="INFO")  # type: ignore[call-overload]

with timer("Database query", rows=3, level=logging.DEBUG) as running:
    assert_type(end_timer(running), float)
started = start_timer("Import", source="csv", logger=logging.getLogger("imports"))
assert_type(end_timer(started, rows=3), float)
end_timer("Import")  # type: ignore[arg-type]
timer()  # type: ignore[call-arg]
timer("Import", logger="imports")  # type: ignore[arg-type]

# Context


@log_context(user_id=7)
def shown(number: int) -> str:
    return str(number)


@log_context(user_id=7)
async def shown_later(number: int) -> str:
    return str(number)


assert_type(shown(1), str)
shown("one")  # type: ignore[arg-type]
shown_later("one")  # type: ignore[arg-type, unused-coroutine]
with log_context(user_id=7, trace_id="0af7651916cd43dd8448eb211c80319c"):
    bind_context(order=3, note=None)
bind_context({"order": 3})  # type: ignore[call-arg]
log_context("order")  # type: ignore[call-arg]
clear_context()

# The process

capture_uncaught()
drain_on_signals()
drain_on_signals("SIGTERM")  # type: ignore[call-arg]

# structlog, loguru, metrics

structlog.configure(
    processors=[LogCollectorProcessor(handler, timestamp_key="at"), structlog.processors.JSONRenderer()]
)
LogCollectorProcessor()  # type: ignore[call-arg]
LogCollectorProcessor("collector")  # type: ignore[arg-type]
assert_type(loguru.logger.add(LogCollectorSink(handler), level="INFO", enqueue=True), int)
LogCollectorSink(client)  # type: ignore[arg-type]
prometheus_client.REGISTRY.register(StatsCollector(handler, get_handler("audit")))
StatsCollector("collector")  # type: ignore[arg-type]
observe_stats(handler, meter=get_meter("shop"))
observe_stats(handler, get_meter("shop"))  # type: ignore[arg-type]

# Frameworks


async def asgi_app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def wsgi_app(environ: dict[str, Any], start_response: wsgi.StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


served: asgi.App = asgi.RequestLogMiddleware(asgi_app)
served = asgi.RequestLogMiddleware(browser.BrowserRelay(handler, limits=browser.Limits(client_rate=10)))
asgi.RequestLogMiddleware(wsgi_app)  # type: ignore[arg-type]
answered: wsgi.App = wsgi.RequestLogMiddleware(wsgi_app)
answered = wsgi.RequestLogMiddleware(browser.WsgiBrowserRelay())
wsgi.RequestLogMiddleware(asgi_app)  # type: ignore[arg-type]
browser.BrowserRelay(limits=10)  # type: ignore[arg-type]
celery.log_tasks()
worker_classes: list[type[rq.LogJobs]] = [rq.Worker, rq.SimpleWorker, rq.SpawnWorker]

# Tests of applications


def test_a_payment(collector: CollectorServer, captured_logs: CapturedLogs) -> None:
    LogCollectorHandler(server_url=collector.url)
    assert_type(collector.wait_for(3, timeout=5), bool)
    assert_type(collector.entries, list[dict[str, Any]])
    assert_type(collector.requests, list[ReceivedRequest])
    assert_type(collector.requests[0].key, "str | None")
    assert_type(collector.ignored_keys, set[str])
    assert_type(collector.stats(), dict[str, Any])
    collector.clear()
    collector.wait_for()  # type: ignore[call-arg]
    captured_logs.set_level("DEBUG")
    captured_logs.set_level(logging.INFO, logger="payments")
    captured_logs.set_level(None)  # type: ignore[arg-type]
    assert_type(captured_logs.entries, list[dict[str, Any]])


with CollectorServer(strict=True, limits=Limits(batch_length=10)) as server:
    assert_type(server, CollectorServer)
CollectorServer(True)  # type: ignore[call-arg]
capturing: LogCollectorHandler = CapturingHandler("INFO", service="shop")
CapturingHandler(servce="shop")  # type: ignore[call-arg]
