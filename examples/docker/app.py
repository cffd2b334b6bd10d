"""A worker that does a job every second until its container is stopped. Where its logs go, compose.yaml says."""

import itertools
import logging.config
import time

from logcollector_handler import drain_on_signals

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "plain"},
            # Everything else is in the environment: LOGCOLLECTOR_SERVER_URL, LOGCOLLECTOR_API_KEY and so on.
            "collector": {
                "class": "logcollector_handler.LogCollectorHandler",
                "service": "worker",
                "log_type": "WORKER",
            },
        },
        "root": {"level": "INFO", "handlers": ["console", "collector"]},
    }
)
# `docker stop` sends SIGTERM. Without this line nobody handles it: the kernel sends process 1 no signal that it does
# not handle, and Docker kills the container ten seconds later.
drain_on_signals()

log = logging.getLogger("worker")
for job in itertools.count(1):
    log.info("job %d is done", job, extra={"job": job})
    time.sleep(1)
