"""structlog through the standard library: one handler for its events and for everybody else's records.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config

import structlog


def main() -> None:
    """Log through structlog and beside it. What was logged is sent before the process ends."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"}},
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            # Not rendered to a string: the handler takes the event apart. `render_to_log_kwargs` does as well.
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog.contextvars.bind_contextvars(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    log = structlog.get_logger("shop.orders").bind(user_id=12345)
    log.info("order %d placed", 7, amount=99.5)
    stock = {"book": 3}
    try:
        stock["globe"] -= 1
    except KeyError:
        log.exception("out of stock", item="globe")
    logging.getLogger("shop.db").info("took %d rows", 3, extra={"table": "orders"})


if __name__ == "__main__":
    main()
