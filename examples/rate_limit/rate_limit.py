"""A storm of errors: the first ten of a line of code in a minute pass, and one record tells of the others.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "storms": {"()": "logcollector_handler.RateLimitFilter", "rate": 10, "per": 60},
    },
    "handlers": {
        "collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "service": "payment-api",
            "filters": ["storms"],
        },
    },
    "root": {"level": "INFO", "handlers": ["collector"]},
}

log = logging.getLogger("payments")


def main() -> None:
    """Log 5,000 times that the bank is away. The report comes at the end of the minute, or of the process."""
    logging.config.dictConfig(LOGGING)
    log.info("service started")
    for attempt in range(1, 5001):
        log.error("the bank does not answer, attempt %d", attempt)
    log.info("another line of code is not held back")


if __name__ == "__main__":
    main()
