"""Celery on files, as people write it: dictConfig, then tasks. Its worker takes the handlers off the root logger."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.utils.log import get_task_logger

from logcollector_handler import bind_context
from logcollector_handler.integrations.celery import log_tasks

logging.config.dictConfig(json.loads(Path(__file__).with_name("logged.json").read_text()))
log = logging.getLogger("shop")
task_log = get_task_logger("shop.tasks")

directory = os.environ["BROKER_DIR"]
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": directory,
        "data_folder_out": directory,
        "control_folder": f"{directory}/control",
    },
    worker_max_tasks_per_child=int(os.environ.get("TASKS_PER_CHILD", "0")) or None,
    worker_prefetch_multiplier=1,
    # Seconds that the parent process waits for the result of a child that is gone.
    worker_lost_wait=0.5,
    broker_connection_retry_on_startup=True,
)
log_tasks()


class UnpicklableError(Exception):
    """What cannot be sent to the parent process."""

    def __init__(self, one: int, two: object) -> None:
        super().__init__(f"{one} is not sent")
        self.two = two


@app.task
def add(number: int) -> int:
    if number % 2:
        bind_context(user_id=number)
    log.info("adding %d", number)
    task_log.info("by the task's logger %d", number)
    return number


@app.task
def fail() -> None:
    raise UnpicklableError(7, lambda: None)


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retried(self: Task) -> str:
    if not self.request.retries:
        try:
            raise ConnectionError("the bank is away")
        except ConnectionError as error:
            raise self.retry(exc=error) from error
    time.sleep(0.05)
    return "done"


@app.task
def ignored() -> None:
    raise Ignore


@app.task(time_limit=1)
def hang() -> None:
    log.info("hanging")
    time.sleep(600)


@app.task
def die() -> Any:
    os._exit(7)
