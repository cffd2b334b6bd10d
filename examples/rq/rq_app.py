"""RQ: what is logged in a job carries its id and name, and one record tells how each run of it ended.

    pip install 'logcollector-handler[rq]'
    python rq_app.py
    rq worker --burst --worker-class logcollector_handler.integrations.rq.Worker

The first command puts three jobs into the queue, the second does them; one fails and one succeeds at the second try.
Both need a Redis server, on this machine unless REDIS_URL (and `rq worker --url`) names another.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config
import os

from redis import Redis
from rq import Queue, Retry, get_current_job

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "collector": {
                "class": "logcollector_handler.LogCollectorHandler",
                "service": "invoices",
                "log_type": "WORKER",
            },
        },
        "root": {"level": "INFO", "handlers": ["collector"]},
    }
)
log = logging.getLogger("invoices")


def send(number: int) -> None:
    """Send an invoice."""
    log.info("invoice %d goes out", number, extra={"invoice": number})


def print_on_paper(number: int) -> None:
    """Fail, as printers do."""
    raise OSError(f"no paper for invoice {number}")


def archive(number: int) -> None:
    """Fail once."""
    job = get_current_job()
    if job is not None and job.retries_left:
        raise ConnectionError("the archive is away")
    log.info("invoice %d is archived", number)


def main() -> None:
    """Put the jobs into the queue, by their names: a worker imports this module to do them."""
    with Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379")) as redis:
        queue = Queue(connection=redis)
        queue.enqueue("rq_app.send", 1)
        queue.enqueue("rq_app.print_on_paper", 2)
        queue.enqueue("rq_app.archive", 3, retry=Retry(max=1))


if __name__ == "__main__":
    main()
