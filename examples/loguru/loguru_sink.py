"""loguru with a sink: messages go to the collector with their fields, and on to the console.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
It needs the extra: `pip install 'logcollector-handler[loguru]'`.
"""

import sys

from loguru import logger

from logcollector_handler import LogCollectorHandler
from logcollector_handler.integrations.loguru import LogCollectorSink


def main() -> None:
    """Log a few messages. What was logged is sent before the process ends."""
    logger.remove()
    logger.add(sys.stdout, format="{level} {message}")
    logger.add(LogCollectorSink(LogCollectorHandler(service="shop")), level="INFO")
    log = logger.bind(user_id=12345)
    with logger.contextualize(trace_id="4bf92f3577b34da6a3ce929d0e0e4736"):
        log.info("order {} placed", 7, amount=99.5, items=["book", "globe"])
        log.debug("not of interest")
        stock = {"book": 3}
        try:
            stock["globe"] -= 1
        except KeyError:
            log.bind(item="globe").exception("out of stock")
    log.success("done")


if __name__ == "__main__":
    main()
