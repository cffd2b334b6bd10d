"""What the public names are to a type checker. mypy reads this file; nobody runs it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from logcollector_handler import end_timer, measure, start_timer, timer


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
measure(pay)  # type: ignore[arg-type]
measure("t", level="INFO")  # type: ignore[arg-type]

with timer("Database query", rows=3) as running:
    milliseconds: float = end_timer(running)
started = start_timer("Import", source="csv")
end_timer(started, rows=3)
end_timer("Import")  # type: ignore[arg-type]
