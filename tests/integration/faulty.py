"""A log collection server that misbehaves on request: real sockets, real threads, nothing mocked.

What belongs here: carrying out what `behaviours.py` describes, remembering what was sent and what was kept.
What does not: any assertion about the handler, any knowledge of the package under test.

A script says what happens to each request. It is a list (one behaviour a request, then the default) or a
rule, a function from the request to a behaviour. Behaviours come from the functions of `behaviours.py`:

    with FaultyServer([answer(503), cut_after_storing()]) as server: ...
    with FaultyServer(lambda r: answer(415) if r.headers["Content-Encoding"] else answer()) as server: ...

The server is honest: what it claims with a 2xx of its own it has stored, a batch is stored once per
idempotency key, and nothing else is stored. To store and then fail is always said by name.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import responses
from types import TracebackType
from typing import Any

from tests.bodies import Entry
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty_connections import Acceptor, Connection, Request, bound

Rule = Callable[[Request], Behaviour]


def refuse_records(predicate: Callable[[Entry], bool], status: int = 500) -> Rule:
    """Poison: answers `status` to a batch in which an entry satisfies `predicate`, and stores the others."""
    return lambda request: answer(status) if any(map(predicate, request.entries)) else answer()


class FaultyServer:
    """A loopback HTTP/1.1 server that follows a script and remembers. A context manager.

    `script` is a list of behaviours, one a request in the order of arrival, or a rule for all of them.
    `default` is what follows the list, a behaviour or a rule; it may be set while the server runs.
    `tls` is the pair of files (certificate chain, private key), in PEM. `client_ca`, with `tls`, is a file with the CA
    that must have signed the certificate of each client.
    """

    def __init__(
        self,
        script: Sequence[Behaviour] | Rule = (),
        default: Behaviour | Rule | None = None,
        *,
        tls: tuple[str, str] | None = None,
        client_ca: str | None = None,
    ) -> None:
        self.default: Behaviour | Rule = default or answer()
        if callable(script):
            self.default, script = script, ()
        self._script = deque(script)
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
            if client_ca is not None:
                self._tls.load_verify_locations(client_ca)
                self._tls.verify_mode = ssl.CERT_REQUIRED
        # Guards the fields below; notified of each request and each stored batch.
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._stored: list[Entry] = []
        self._stored_keys: dict[str, None] = {}
        self._connections: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        # Held by whoever opens or closes the door; the acceptor exists while it is open.
        self._door = threading.Lock()
        self._acceptor: Acceptor | None = None
        self._closed = False
        self._socket = bound(0)
        self.address: tuple[str, int] = self._socket.getsockname()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.resume()

    @property
    def port(self) -> int:
        return self.address[1]

    def __enter__(self) -> FaultyServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # What it remembers.

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order in which their bodies were read or cut."""
        with self._changed:
            return list(self._requests)

    @property
    def stored(self) -> list[Entry]:
        """The entries stored so far, in order, once per key."""
        with self._changed:
            return list(self._stored)

    @property
    def stored_keys(self) -> list[str]:
        """The keys of the batches stored so far, in order; a batch without a key has none."""
        with self._changed:
            return list(self._stored_keys)

    def wait_for_requests(self, count: int, timeout: float = 60.0) -> list[Request]:
        """The requests, as soon as there are `count`. Raises TimeoutError after `timeout` seconds."""
        return self._wait(self._requests, count, timeout, "requests")

    def wait_for_stored(self, count: int, timeout: float = 60.0) -> list[Entry]:
        """The stored entries, as soon as there are `count`. Raises TimeoutError after `timeout` seconds."""
        return self._wait(self._stored, count, timeout, "stored entries")

    # Its door.

    def refuse(self) -> None:
        """Refuses connections from now on and cuts the open ones. The port stays its own."""
        with self._door:
            if self._acceptor is not None:
                self._stop_accepting()
                # Bound but not listening: a connection is refused, and nobody else gets the port.
                self._socket = bound(self.port)
        self._cut_connections()

    def resume(self) -> None:
        """Accepts connections again, on the same port."""
        with self._door:
            if self._acceptor is None and not self._closed:
                self._socket.listen(128)
                self._acceptor = Acceptor(self._socket, self._connect)

    def close(self) -> None:
        """Cuts whatever goes on, at once, and waits until its threads have ended."""
        with self._door:
            self._closed = True
            self._stop_accepting()
            self._socket.close()
        self._cut_connections()
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(60.0)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} does not end: is a rule of the script waiting?")

    def _stop_accepting(self) -> None:
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None
            self._socket.close()

    def _cut_connections(self) -> None:
        with self._changed:
            for connection in self._connections:
                connection.cut()

    # Its threads.

    def _connect(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            # The client has gone already.
            sock.close()
            return
        connection = Connection(sock)
        thread = threading.Thread(target=self._serve, args=(connection,), name="faulty-server-connection")
        with self._changed:
            self._connections.add(connection)
            self._threads = [thread, *(old for old in self._threads if old.is_alive())]
            # Started under the lock, or the next connection would take it for one that has ended.
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            # OSError: the client has gone, or close() or refuse() cut the connection.
            with suppress(OSError):
                connection.handshake()
                while self._handle(Request(connection.receive_head(), connection), connection):
                    pass
        finally:
            with self._changed:
                self._connections.discard(connection)
                connection.socket.close()

    def _handle(self, request: Request, connection: Connection) -> bool:
        """Follows the script for one request. Returns whether the connection stays open."""
        try:
            with self._changed:
                step = self._script.popleft() if self._script else self.default
            behaviour = step(request) if callable(step) else step
            share = 1.0 if behaviour.cut_in_body is None else behaviour.cut_in_body
            request.read(share, behaviour.read_delay, behaviour.read_piece)
        finally:
            request.seal()
            with self._changed:
                self._requests.append(request)
                self._changed.notify_all()
        if behaviour.cut_in_body is not None:
            if behaviour.answer_early:
                connection.send(_render(behaviour, request), behaviour.trickle)
            return False
        if behaviour.store and request.method == "POST" and not request.is_batch:
            behaviour = answer(400)
        if behaviour.hang == "before storing":
            connection.hang(behaviour.hang_until)
        if behaviour.store:
            self._store(request)
        if behaviour.hang == "after storing":
            connection.hang(behaviour.hang_until)
        if behaviour.drop_answer:
            return False
        connection.send(_render(behaviour, request), behaviour.trickle)
        return not (behaviour.close or behaviour.withhold)

    def _store(self, request: Request) -> None:
        with self._changed:
            if request.key is not None:
                if request.key in self._stored_keys:
                    return
                self._stored_keys[request.key] = None
            self._stored += request.entries
            self._changed.notify_all()

    def _wait(self, items: list[Any], count: int, timeout: float, what: str) -> list[Any]:
        with self._changed:
            if not self._changed.wait_for(lambda: len(items) >= count, timeout):
                raise TimeoutError(f"{len(items)} {what} after {timeout} s, expected {count}")
            return list(items)


def _render(behaviour: Behaviour, request: Request) -> bytes:
    status, body = behaviour.status, behaviour.body
    phrase = responses.get(status, "Unknown")
    if status == 204:
        body = b""
    elif body is None and 200 <= status < 300 and request.wire != "collector":
        # Neither an ExportLogsServiceResponse without fields nor most engines say anything.
        body = b""
    elif body is None and 200 <= status < 300:
        count = len(request.entries) if behaviour.count is None else behaviour.count
        body = json.dumps({"status": "ok", "count": count}).encode()
    elif body is None:
        body = json.dumps({"status": "error", "detail": phrase}).encode()
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Type: {behaviour.content_type}"]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in behaviour.headers]
    if behaviour.close:
        lines.append("Connection: close")
    data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    return data[: len(data) - behaviour.withhold]
