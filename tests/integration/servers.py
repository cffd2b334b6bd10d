"""Real servers for WSGI and ASGI applications, and what becomes of the records when one of them is told to end.

What belongs here: running a server, the requests, and the comparison of what the application logged with what the
collector stored. The servers are in `server_commands.py`, the application is `apps/tiny_app.py`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.served import APPS, free_port
from tests.integration.server_commands import Server

CONNECTIONS = 4
#: Requests on one connection, before the next one perhaps comes to another worker.
REQUESTS_A_CONNECTION = 10
#: Seconds that a client waits for an answer.
PATIENCE = 15.0


#: Becomes the program of its arguments. Where all this runs in the background of a shell, SIGINT is ignored, and a
#: program inherits that.
_HEARING_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass
class Outcome:
    """What became of one server and of the records of its processes. Counters are of messages."""

    #: Requests that were answered.
    answered: int
    logged: Counter[str]
    #: What the collector had stored when the last process of the server had ended.
    arrived: Counter[str]
    #: The same, after the spool was sent.
    stored: Counter[str]
    #: Seconds from the signal until the last process of the server had ended.
    seconds: float
    #: Whether it had to be killed.
    killed: bool
    output: str

    @property
    def lost(self) -> int:
        return (self.logged - self.stored).total()

    @property
    def repeated(self) -> int:
        """How often a record was stored again. What the handler itself tells the server was not logged."""
        return sum(count for message, count in (self.stored - self.logged).items() if message in self.logged)

    @property
    def said(self) -> int:
        """Records that the processes named on stderr as lost."""
        # A process may say it twice: when its framework has ended, and again when the interpreter does.
        return max(self._named("could not be sent in time"), self._named("(?:was|were) dropped"))

    def _named(self, loss: str) -> int:
        found = re.findall(rf"logcollector-handler: (\d+) records? {loss}", self.output)
        return sum(map(int, found))


class NotServingError(Exception):
    """The server did not come up; the message is what it printed."""


def serve_and_end(
    server: Server,
    collector: FaultyServer,
    directory: Path,
    settings: Mapping[str, str],
    *,
    requests: int = 200,
    loaded_first: int = 0,
    arrived_first: int = 0,
    well_after: float | None = None,
    patience: float = 60.0,
) -> Outcome:
    """Start the server, send it requests, send it its signal with connections still open, and count.

    Args:
        directory: an empty one.
        settings: of the handler, as its environment variables have them.
        loaded_first: how many records have to arrive before the first request is sent.
        arrived_first: how many records have to arrive before the signal is sent.
        well_after: seconds after the signal from which on the collector takes everything.
        patience: seconds that the server has for its end before it is killed.
    """
    logged = directory / "logged"
    environ = {f"LOGCOLLECTOR_{name.upper()}": value for name, value in settings.items()}
    environ |= {"LOGCOLLECTOR_SERVER_URL": collector.url, "LOGGED": str(logged), **server.environ}
    port = free_port()
    with _running(server, directory, port, environ) as running, ExitStack() as connections:
        running.wait_until_it_listens(port)
        running.wait_until_loaded(logged, server.loads)
        collector.wait_for_stored(loaded_first)
        answered = _ask(port, requests, connections)
        collector.wait_for_stored(arrived_first)
        signalled = time.monotonic()
        running.send(server.end_by)
        if well_after is not None:
            timer = threading.Timer(well_after, lambda: setattr(collector, "default", answer()))
            connections.callback(timer.join)
            timer.start()
        killed = not running.has_ended(patience)
        seconds = time.monotonic() - signalled
    output = running.output.result(timeout=60)
    arrived = _stored(collector)
    collector.default = answer()
    if "spool_dir" in settings:
        _replay(settings["spool_dir"], collector.url)
    said = Counter(json.loads(line) for line in logged.read_text().splitlines()) if logged.exists() else Counter()
    return Outcome(answered, said, arrived, _stored(collector), seconds, killed, output)


class _Running:
    """A server that runs, in a session of its own, with all its processes."""

    def __init__(self, process: subprocess.Popen[str], output: Future[str]) -> None:
        self._process = process
        #: Complete when all that inherited the standard output have ended.
        self.output = output

    def wait_until_it_listens(self, port: int) -> None:
        deadline = time.monotonic() + 60
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                connection.connect()
            except OSError:
                time.sleep(0.05)
            else:
                connection.close()
                return
        self.kill()
        raise NotServingError(self.output.result(timeout=60))

    def wait_until_loaded(self, logged: Path, loads: int) -> None:
        """Wait until so many processes have logged that they load the application."""
        deadline = time.monotonic() + 60
        while loads and time.monotonic() < deadline and self._process.poll() is None:
            if logged.exists() and logged.read_text().count("loaded by") >= loads:
                return
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        """As an operator does it; SIGINT as a terminal does, to all processes."""
        if number == signal.SIGINT:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def has_ended(self, patience: float) -> bool:
        try:
            self.output.result(timeout=patience)
        except FutureTimeout:
            return False
        return True

    def kill(self) -> None:
        if not self.output.done():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@contextmanager
def _running(server: Server, directory: Path, port: int, environ: Mapping[str, str]) -> Iterator[_Running]:
    executable = server.executable
    assert executable is not None, f"{server.command} is not installed"
    command = server.command.format(port=port, directory=directory, prefix=sys.prefix)
    path = os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", _HEARING_CTRL_C, executable, *shlex.split(command)[1:]],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with ThreadPoolExecutor(1) as pool:
        # From the start, or a talkative server would wait for somebody to read.
        running = _Running(process, pool.submit(lambda: process.communicate()[0]))
        try:
            yield running
        finally:
            running.kill()


def _ask(port: int, count: int, connections: ExitStack) -> int:
    """Send the requests over a few connections at once, the last of which stay open. Returns how many were answered."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        asking = []
        for number in range(CONNECTIONS):
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connections.callback(connection.close)
            asking.append(pool.submit(_ask_on, connection, range(number, count, CONNECTIONS)))
        return sum(each.result() for each in asking)


def _ask_on(connection: HTTPConnection, numbers: Iterable[int]) -> int:
    answered = 0
    for position, number in enumerate(numbers):
        if position % REQUESTS_A_CONNECTION == 0:
            connection.close()
        try:
            answered += _is_answered(connection, number)
        except TimeoutError:
            # It does not answer at all, and all of these would be waited for.
            break
    return answered


def _is_answered(connection: HTTPConnection, number: int) -> bool:
    for _attempt in range(2):
        try:
            connection.request("GET", f"/{number}")
            with connection.getresponse() as response:
                return response.read() == b"ok"
        except TimeoutError:
            raise
        except (OSError, HTTPException):
            # The server may close a connection that is kept, unannounced: another one, as every client does.
            connection.close()
    return False


def _replay(spool_dir: str, url: str) -> None:
    program = "import sys; from logcollector_handler.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "spool", "replay", spool_dir, "--server-url", url]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=120, check=False)


def _stored(collector: FaultyServer) -> Counter[str]:
    return Counter(str(entry["message"]) for entry in collector.stored)
