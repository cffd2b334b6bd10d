"""Context: what is bound once is on every record of a request, whoever logs it.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import asyncio
import logging
import logging.config

from logcollector_handler import bind_context, log_context

log = logging.getLogger("shop")


async def pay(amount: float) -> None:
    """Knows nothing of the request that it is called in."""
    await asyncio.sleep(0.01)
    log.info("paid", extra={"amount": amount})


async def request(trace_id: str, user_id: int) -> None:
    """Handle a request. Each task has a context of its own."""
    bind_context(trace_id=trace_id, user_id=user_id)
    log.info("checkout")
    with log_context(action_type="payment"):
        await pay(user_id * 1.5)
    log.info("done")


async def main() -> None:
    """Handle two requests at the same time."""
    await asyncio.gather(request("4bf92f3577b34da6a3ce929d0e0e4736", 1), request("00f067aa0ba902b7a3ce929d0e0e4736", 2))
    log.info("all done")


if __name__ == "__main__":
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"}},
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    asyncio.run(main())
