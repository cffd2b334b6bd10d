"""Celery: what is logged in a task carries its id and name, and one record tells how each run of it ended.

    pip install 'logcollector-handler[celery]'
    celery -A celery_app worker --loglevel INFO

Run as a program it needs no broker: it does three tasks itself, of which one fails and one succeeds at the second try.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config

from celery import Celery, Task

from logcollector_handler.integrations.celery import log_tasks

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

app = Celery("celery_app", broker="memory://")
log_tasks()


@app.task(name="invoices.send")
def send(number: int) -> None:
    """Send an invoice."""
    log.info("invoice %d goes out", number, extra={"invoice": number})


@app.task(name="invoices.print")
def print_on_paper(number: int) -> None:
    """Fail, as printers do."""
    raise OSError(f"no paper for invoice {number}")


@app.task(name="invoices.archive", bind=True, default_retry_delay=0)
def archive(self: Task, number: int) -> None:
    """Fail once."""
    if not self.request.retries:
        raise self.retry(exc=ConnectionError("the archive is away"))
    log.info("invoice %d is archived", number)


def main() -> None:
    """Do the tasks in this process. With a worker it is `send.apply_async((1,), headers=...)`."""
    send.apply((1,), headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    print_on_paper.apply((2,))
    archive.apply((3,))


if __name__ == "__main__":
    main()
