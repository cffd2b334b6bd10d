"""Jobs for RQ, as people write them: dictConfig, then functions. A worker imports this module with the first job."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import signal
import time
from pathlib import Path

from rq import Retry

from logcollector_handler import bind_context

logging.config.dictConfig(json.loads(Path(__file__).with_name("logged.json").read_text()))
log = logging.getLogger("shop")


def add(number: int) -> int:
    if number % 2:
        bind_context(user_id=number)
    for part in range(20):
        log.info("adding %d: %d", number, part)
    return number


def fail() -> None:
    raise KeyError("no such order")


def ask_again() -> Retry:
    return Retry(max=1)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_terminated() -> None:
    log.info("before SIGTERM")
    signal.raise_signal(signal.SIGTERM)
    time.sleep(120)
