"""Serves the collector over HTTP: in the foreground for the command line, in a thread for tests.

Neither configures logging: that is up to the application in whose process it runs.
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

from . import protocol

#: Seconds that requests have to finish when the server in the thread stops.
GRACE: Final = 1.0
#: The loggers used in the server's thread.
_LOGGERS: Final = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio")


def run(app: ASGIApp, host: str, port: int, started: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 stands for any free port; `started` is called with the URL.

    Raises OSError if it cannot listen at the address. After a signal it answers the requests in progress; then the
    signal has its usual effect: KeyboardInterrupt for SIGINT, the end of the process for SIGTERM.
    """
    with bind(host, port) as sock:
        if started is not None:
            started(url_of(sock))
        uvicorn.Server(_config(app)).run(sockets=[sock])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. The kernel queues connections from now on, so a client may connect before the server runs.

    Raises OSError if it cannot listen at the address.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.create_server(address[:2], family=family, backlog=2048)
    # Connections inherit the option. asyncio sets it only on sockets whose protocol number is TCP's, and this socket's
    # is 0. Without it each answer took 40 ms: it is written in two parts, and the second waited for the client's
    # acknowledgement of the first.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def url_of(sock: socket.socket) -> str:
    """`http://host:port` of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: ASGIApp, **more: Any) -> uvicorn.Config:
    # http, ws and loop are given, because by default uvicorn chooses by what else is installed.
    return uvicorn.Config(
        app,
        http=protocol.PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        # Reached only if the server is at work on all connections: else one of them was ended.
        limit_concurrency=protocol.CONNECTIONS + 1,
        **more,
    )


class BackgroundServer:
    """Serves the app on a free loopback port, in a daemon thread of this process.

    It installs no signal handlers. What the server logs does not reach the application's handlers: warnings and above
    go to stderr, the rest is discarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._server: _ThreadServer | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        #: `http://host:port`, set by `start`.
        self.url: str = ""

    def start(self) -> None:
        """Start the server, and return when it answers requests. Raises RuntimeError if the app cannot start."""
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
        """Stop the server, and return when its sockets are closed and its thread has ended.

        Requests in progress have GRACE seconds to finish.
        """
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
        except BaseException as error:  # `start` raises it; after `start` the thread's excepthook prints it
            self._error = error
            if server.started:
                raise
        finally:
            for logger in loggers:
                logger.removeFilter(quiet)
            sock.close()
            ready.set()


class _ThisThreadOnly(logging.Filter):
    """Keeps records of the thread that made it from the application's handlers; warnings and above go to stderr."""

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
    """A uvicorn server that tells when it has started, and stops at once: the original polls every 0.1 s."""

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
        # Python 3.10 loses a connection that is accepted but has no transport yet when its server is closed. So first
        # stop accepting, then let the event loop make the transports of accepted connections, and only then close.
        for sock in sockets or []:
            # The event loop of Windows accepts in another way and has no readers.
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
