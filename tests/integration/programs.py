"""Programs that log, run as real processes against a faulty server, and what became of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.integration.faulty import FaultyServer

PRELUDE = """
import atexit, gc, logging, logging.config, multiprocessing, os, signal, sys, threading, time

def configure(**settings):
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "server_url": os.environ["SERVER"],
            **settings,
        }},
        "root": {"level": "DEBUG", "handlers": ["collector"]},
    })
    return logging.getLogger().handlers[0]

log = logging.getLogger("shop")
"""

#: Every warning is an error, but for the one that `os.fork()` gives in a process with threads, which a process with a
#: handler has. From 3.15 on the fork itself would raise it.
WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


@dataclass
class Ended:
    """How a process ended, and how long it took from its last line of code."""

    code: int
    out: str
    err: str
    seconds: float


def run(
    server: FaultyServer, script: str, timeout: float = 180.0, *, wrapper: Sequence[str] = (), **environ: str
) -> Ended:
    """Run a program; `wrapper` is a command that runs a command."""
    start = time.monotonic()
    done = subprocess.run(
        [*wrapper, sys.executable, *WARNINGS, "-c", PRELUDE + textwrap.dedent(script)],
        env={**os.environ, "SERVER": server.url, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def messages(server: FaultyServer) -> list[str]:
    return [str(entry["message"]) for entry in server.stored]
