"""What the public names are to a type checker. mypy reads this file; nobody runs it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from logcollector_handler import (
    LogClient,
    LogCollectorHandler,
    end_timer,
    get_handler,
    log_context,
    measure,
    start_timer,
    timer,
)
from logcollector_handler.settings import Settings
from logcollector_handler.testing import CapturedLogs


@measure("Process payment", logger=logging.getLogger("payments"), currency="EUR")
def pay(amount: float, *, fee: float = 0.0) -> str:
    return str(amount + fee)


@measure("Fetch")
async def fetch(number: int) -> bytes:
    return bytes(number)


class Shop:
    @measure("sell")
    def sell(self, item: str) -> int:
        return len(item)

    @classmethod
    @measure("open")
    def open(cls, name: str) -> Shop:
        return cls()

    @staticmethod
    @measure("close")
    def close(when: float) -> None: ...


paid: str = pay(1.0, fee=2.0)
pay("much")  # type: ignore[arg-type]
pay(1.0, 2.0)  # type: ignore[call-arg]
wrong: int = pay(1.0)  # type: ignore[assignment]
pays: Callable[[float], str] = pay

fetching: Callable[[int], Awaitable[bytes]] = fetch
fetch("one")  # type: ignore[arg-type, unused-coroutine]


async def use() -> bytes:
    return await fetch(1)


sold: int = Shop().sell("book")
shop: Shop = Shop.open("corner")
Shop.close(1.5)
Shop.open(1)  # type: ignore[arg-type]
measure(5)  # type: ignore[call-overload]
measure("t", level="INFO")  # type: ignore[call-overload]


@measure
def refund(amount: float, *, fee: float = 0.0) -> str:
    return str(amount - fee)


@measure
async def fetch_all(number: int) -> list[bytes]:
    return [bytes(number)]


@measure(level=logging.DEBUG, currency="EUR")
def cancel(order: int) -> bool:
    return order > 0


class Bank:
    @measure
    def pay(self, item: str) -> int:
        return len(item)

    @classmethod
    @measure
    def open(cls, name: str) -> Bank:
        return cls()


refunded: str = refund(1.0, fee=2.0)
refund("much")  # type: ignore[arg-type]
fetching_all: Callable[[int], Awaitable[list[bytes]]] = fetch_all
cancelled: bool = cancel(5)
cancel("five")  # type: ignore[arg-type]
owed: int = Bank().pay("book")
bank: Bank = Bank.open("corner")


@log_context(user_id=7)
def shown(number: int) -> str:
    return str(number)


text: str = shown(1)
shown("one")  # type: ignore[arg-type]
with log_context(user_id=7):
    pass

with timer("Database query", rows=3) as running:
    milliseconds: float = end_timer(running)
started = start_timer("Import", source="csv")
end_timer(started, rows=3)
end_timer("Import")  # type: ignore[arg-type]

handler: LogCollectorHandler = get_handler("collector")

with LogClient(service="shop", flush_level="ERROR", headers={"X-Team": "a"}, level="INFO") as client:
    client.info("paid", user_id=7)
    client.log("WARN", "declined", amount=1.5)
    client.error_with_trace("failed", ValueError("why"), order=3)
    with client.timer("query", rows=3) as running:
        milliseconds = client.end_timer(running)
    flushed: bool = client.flush(2.0)
LogClient(servce="shop")  # type: ignore[call-arg]
LogClient(batch_size="many")  # type: ignore[arg-type]
LogClient([])  # type: ignore[arg-type]

LogCollectorHandler("INFO", batch_size=5, flush_level="ERROR", verify=Path("ca.pem"), redact=["pin"])
LogCollectorHandler(level=20, batch_size=None, service=None, headers=None)
LogCollectorHandler(batchsize=5)  # type: ignore[call-arg]
LogCollectorHandler("INFO", "shop")  # type: ignore[call-arg]
LogCollectorHandler(batch_size="5")  # type: ignore[arg-type]
LogCollectorHandler(enable_compression=1)  # type: ignore[arg-type]
LogCollectorHandler(headers={"X-Team": 1})  # type: ignore[dict-item]

size: int = Settings().batch_size
level: int = Settings(flush_level="ERROR").flush_level
service: str = Settings().service  # type: ignore[assignment]
Settings().batch_size = 5  # type: ignore[misc]
client.info(7)  # type: ignore[arg-type]


@client.measure("Sell", shop=1)
def sell(item: str) -> int:
    return len(item)


@client.measure
def buy(item: str) -> int:
    return len(item)


sell(1)  # type: ignore[arg-type]
buy(1)  # type: ignore[arg-type]


def captured(captured_logs: CapturedLogs) -> list[str]:
    captured_logs.set_level("DEBUG")
    captured_logs.set_level(logging.INFO, logger="payments")
    captured_logs.set_level(None)  # type: ignore[arg-type]
    return [entry["message"] for entry in captured_logs.entries]
