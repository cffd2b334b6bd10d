"""Logging through `logging.config.dictConfig`: one handler entry, and every record reaches the collector.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "service": "payment-api",
            "environment": "development",
            "service_version": "v1.2.3",
        },
    },
    "root": {"level": "INFO", "handlers": ["collector"]},
}

log = logging.getLogger("payments")


def main() -> None:
    """Log a few records. What was logged is sent before the process ends."""
    logging.config.dictConfig(LOGGING)
    log.info("service started")
    # Fields of these names have columns of their own on the server; any other goes into `metadata`.
    log.info("payment accepted", extra={"user_id": 12345, "duration_ms": 48.2, "amount": 99.5, "currency": "EUR"})
    log.warning("card %s expires soon", "…4242")


if __name__ == "__main__":
    main()
