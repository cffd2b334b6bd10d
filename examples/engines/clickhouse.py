"""Logging straight into ClickHouse: one JSON object a line, and each batch stored once, however often it is sent.

Run it beside a ClickHouse with the table of `clickhouse.sql`, such as that of `compose.yaml`:

    CLICKHOUSE_PASSWORD=... python clickhouse.py
"""

import logging
import logging.config
import os

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "clickhouse": {
            "class": "logcollector_handler.LogCollectorHandler",
            "wire": "ndjson",
            "server_url": os.environ.get("CLICKHOUSE_URL", "http://localhost:8123")
            + "/?query=INSERT%20INTO%20logs%20FORMAT%20JSONEachRow"
            # A column that a later version of the handler adds must not stop the logs.
            "&input_format_skip_unknown_fields=1"
            # The type JSON takes {"a": {"b": 1}, "a.b": 2} for one field twice: it keeps the first, and the record.
            "&type_json_skip_duplicated_paths=1"
            # A batch that is sent again because its answer was lost is stored once.
            "&insert_deduplication_token={batch_id}",
            "headers": {
                "X-ClickHouse-User": os.environ.get("CLICKHOUSE_USER", "default"),
                "X-ClickHouse-Key": os.environ["CLICKHOUSE_PASSWORD"],
            },
            "service": "payment-api",
            "environment": "development",
            "service_version": "v1.2.3",
        },
    },
    "root": {"level": "INFO", "handlers": ["clickhouse"]},
}

log = logging.getLogger("payments")


def main() -> None:
    """Log a few records. What was logged is sent before the process ends."""
    logging.config.dictConfig(LOGGING)
    log.info("service started")
    # SELECT message, metadata.amount FROM logs WHERE user_id = '12345'
    log.info("payment accepted", extra={"user_id": 12345, "duration_ms": 48.2, "amount": 99.5})


if __name__ == "__main__":
    main()
