"""An application behind a real server, in a process of its own, on a socket that the test has opened.

What belongs here: starting it, asking it, ending it. The applications are in `apps/`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from logcollector_handler.testing import CollectorServer

APPS = Path(__file__).with_name("apps")


@dataclass
class Served:
    """A server that runs."""

    url: str
    client: httpx.Client
    process: subprocess.Popen[str]
    out: str = ""

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it as an operator does, or a terminal with SIGINT; what it printed is in `out`."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        self.out = self.process.communicate(timeout=180)[0]


@contextmanager
def served(collector: CollectorServer, *command: str, **environ: str) -> Iterator[Served]:
    """A server that takes its socket as `{fd}` in the command, which is one of `python -m`.

    It need not be ready: who connects waits in the socket's queue.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, httpx.Client(timeout=60, trust_env=False) as client:
        port = listening.getsockname()[1]
        path = os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])])
        arguments = [each.format(fd=listening.fileno(), port=port) for each in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=APPS,
            env={**os.environ, "LOGCOLLECTOR_SERVER_URL": collector.url, "PYTHONPATH": path, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        client.base_url = httpx.URL(url)
        try:
            yield (made := Served(url, client, process))
            if process.poll() is None:
                made.end()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                print(process.communicate()[0])
            elif made.out:
                print(made.out)


def free_port() -> int:
    """A port that nobody has, for servers that cannot be given a socket."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def by_logger(collector: CollectorServer, name: str) -> list[dict[str, Any]]:
    """The entries of a logger."""
    return [entry for entry in collector.entries if entry["metadata"]["logger"] == name]


def wait_for(collector: CollectorServer, name: str, count: int) -> None:
    """Wait until `count` entries of a logger have arrived."""
    while True:
        entries = collector.entries
        if sum(entry["metadata"]["logger"] == name for entry in entries) >= count:
            return
        assert collector.wait_for(len(entries) + 1, timeout=120), "no more records come"


def access_of(collector: CollectorServer, path: str) -> dict[str, Any]:
    """The one access record of a path."""
    (entry,) = [entry for entry in by_logger(collector, "logcollector.access") if entry["path"] == path]
    return entry
