"""Serving the collector over HTTP: in the foreground for the command line, in a thread for tests.

Logging is the business of the application in whose process this runs: neither way configures it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from .protocol import PatientProtocol

#: Seconds that requests which are under way are given when the server in the thread stops.
GRACE: Final = 1.0
#: Connections that are served at once; to more of them 503 is said.
CONNECTIONS: Final = 500
#: The loggers that speak in the thread of the server.
_LOGGERS: Final = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio")


def run(app: ASGIApp, host: str, port: int, started: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 takes any free one; `started` is told the URL.

    Raises OSError when the address cannot be had. After a signal the requests under way are answered, then it
    takes its usual effect: KeyboardInterrupt for SIGINT, the end of the process for SIGTERM.
    """
    with bind(host, port) as sock:
        if started is not None:
            started(url_of(sock))
        uvicorn.Server(_config(app)).run(sockets=[sock])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket: the kernel queues connections from now on, so whoever is told the URL is served.

    Raises OSError when the address cannot be had.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.create_server(address[:2], family=family, backlog=2048)
    # Connections inherit it. asyncio sees to it only where the socket names its protocol, and this one does not: then
    # each answer, written in two parts, waited 40 ms for the client to acknowledge the first.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def url_of(sock: socket.socket) -> str:
    """`http://host:port` of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: ASGIApp, **more: Any) -> uvicorn.Config:
    # http, ws, loop: the same everywhere, whatever else is installed.
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        limit_concurrency=CONNECTIONS,
        **more,
    )


class BackgroundServer:
    """The app on a loopback port of its own, served by a daemon thread of this process.

    Signal handlers stay as they are, and nothing that the server logs reaches the handlers of the application:
    what is a warning or worse goes to stderr.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._server: _ThreadServer | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        #: Where it listens; set by `start`.
        self.url = ""

    def start(self) -> None:
        """Returns when requests are answered. Raises RuntimeError when the app cannot start."""
        sock = bind("127.0.0.1", 0)
        self.url = url_of(sock)
        ready = threading.Event()
        self._server = _ThreadServer(_config(self._app, date_header=False, server_header=False), ready)
        self._thread = threading.Thread(
            target=self._serve, args=(self._server, sock, ready), name="collector-server", daemon=True
        )
        self._thread.start()
        ready.wait()
        if not self._server.started:
            self._thread.join()
            raise RuntimeError("The collector could not be started.") from self._error

    def stop(self) -> None:
        """Returns when every socket and thread is gone; requests under way get GRACE seconds to end."""
        if self._server is not None and self._thread is not None and self._thread.is_alive():
            self._server.stop()
            self._thread.join()

    def _serve(self, server: _ThreadServer, sock: socket.socket, ready: threading.Event) -> None:
        quiet = _ThisThreadOnly()
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        for logger in loggers:
            logger.addFilter(quiet)
        try:
            server.run(sockets=[sock])
        except BaseException as error:  # `start` raises it; later than that it is printed
            self._error = error
            if server.started:
                raise
        finally:
            for logger in loggers:
                logger.removeFilter(quiet)
            sock.close()
            ready.set()


class _ThisThreadOnly(logging.Filter):
    """Keeps what the thread that made it logs from all handlers, but for trouble, which goes to stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        if record.levelno >= logging.WARNING and logging.lastResort is not None:
            logging.lastResort.handle(record)
        return False


class _ThreadServer(uvicorn.Server):
    """A uvicorn server that starts and stops on the spot: the original looks up once in 0.1 s."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await super().startup(sockets=sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Python 3.10 loses a connection that was accepted but has no transport yet when its server is closed. So
        # first nothing more is accepted, then what was accepted gets its transport and its protocol.
        for sock in sockets or []:
            # Windows accepts in another way.
            with suppress(NotImplementedError):
                self._loop.remove_reader(sock)
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = self._loop.time() + GRACE
        while self.server_state.connections or self.server_state.tasks:
            if self._loop.time() > deadline:
                for connection in list(self.server_state.connections):
                    connection.transport.abort()
            await asyncio.sleep(0.001)
        await self.lifespan.shutdown()
