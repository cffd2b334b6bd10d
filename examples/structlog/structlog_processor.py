"""structlog with a processor: events go to the collector with their fields, and on to the console.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
It needs the extra: `pip install 'logcollector-handler[structlog]'`.
"""

import logging

import structlog

from logcollector_handler import LogCollectorHandler
from logcollector_handler.integrations.structlog import LogCollectorProcessor


def main() -> None:
    """Log a few events. What was logged is sent before the process ends."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            LogCollectorProcessor(LogCollectorHandler(service="shop")),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    structlog.contextvars.bind_contextvars(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    log = structlog.get_logger().bind(user_id=12345)
    log.info("order placed", amount=99.5, items=["book", "globe"])
    log.debug("not of interest")
    stock = {"book": 3}
    try:
        stock["globe"] -= 1
    except KeyError:
        log.exception("out of stock", item="globe")


if __name__ == "__main__":
    main()
