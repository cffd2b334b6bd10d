"""Logging to an OpenTelemetry Collector, or to any engine that takes OTLP over HTTP.

Run it beside the Collector of `compose.yaml`. Another one is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config
import os

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "wire": "otlp",
            "server_url": os.environ.get("LOGCOLLECTOR_SERVER_URL", "http://localhost:4318"),
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
    log.info("payment accepted", extra={"user_id": 12345, "duration_ms": 48.2, "amount": 99.5})


if __name__ == "__main__":
    main()
