"""Exceptions that nobody caught, of a thread and of the program itself: both arrive, with their traces.

The program dies of the second one: its exit status is 1, and the interpreter prints the trace as ever.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config
import threading

from logcollector_handler import capture_uncaught


def refresh_cache() -> None:
    """Fail in a thread."""
    raise ConnectionError("cache.example is away")


def main() -> None:
    """Fail in the main thread."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "nightly"}},
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    capture_uncaught()
    thread = threading.Thread(target=refresh_cache, name="refresher")
    thread.start()
    thread.join()
    raise ValueError("there is no report for today")


if __name__ == "__main__":
    main()
