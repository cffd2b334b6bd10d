"""Exceptions: `logger.exception()` sends the stack trace, with causes, and says where it was raised.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config

log = logging.getLogger("orders")


def reserve(item: str, count: int) -> None:
    """Fail as a warehouse does."""
    stock = {"book": 1}
    try:
        left = stock[item] - count
    except KeyError as error:
        raise LookupError(f"no such item: {item}") from error
    if left < 0:
        raise ValueError(f"only {stock[item]} of {item} left")


def main() -> None:
    """Log two exceptions, one with a cause."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "orders"}},
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    for item in ("book", "globe"):
        try:
            reserve(item, 3)
        except (LookupError, ValueError):
            log.exception("could not reserve %s", item, extra={"item": item})


if __name__ == "__main__":
    main()
