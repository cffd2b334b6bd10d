"""A real collector inside the process of a test: real HTTP, real storage, one for each `with` block.

    with CollectorServer(strict=True) as collector:
        configure_logging(server_url=collector.url)
        ...
        assert collector.wait_for(3, timeout=5)
        assert collector.entries[0]["message"] == "started"

Without a network there is `CapturingHandler`, which keeps in memory what it would send.

For pytest there are the fixtures `collector`, a strict one, and `captured_logs`, a capturing handler on the root
logger: put `pytest_plugins = ["logcollector_handler.testing"]` in a conftest. Nothing else here needs pytest. All
of it needs `pip install 'logcollector-handler[collector]'`.

No test asserts in this file, and a conftest may well import it before it names it as a plugin, so pytest is
told to let it be: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from .collector.app import ReceivedRequest, create_app
from .collector.body import Limits
from .collector.server import BackgroundServer
from .collector.store import Store
from .handler import LogCollectorHandler
from .wire.collector import CollectorFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMAT = CollectorFormat()

__all__ = ["CapturingHandler", "CollectorServer", "Limits", "ReceivedRequest"]


class _Running(NamedTuple):
    """What there is between entering and leaving."""

    store: Store
    url: str
    #: Ends it all, in the right order.
    stack: ExitStack


class CollectorServer:
    """A collector on a free loopback port, with a store of its own that goes with the `with` block.

    `strict=True` answers as the real server does: 500 to the whole batch for one value that a column
    refuses. Without, such a batch is answered 422 with the index of the entry, and `created_at` may be in
    milliseconds.
    Either way top-level keys that are no columns are dropped without a word, as the real server drops them;
    `ignored_keys` tells them. `limits` bounds what one request may hold (413 beyond).

    Ask inside the `with` block: what was stored is gone behind it, and to ask is a RuntimeError. So is a server
    that cannot be started, on entering. It may be entered again, and is empty then.
    """

    def __init__(self, *, strict: bool = False, limits: Limits | None = None) -> None:
        self._strict = strict
        self._limits = limits
        self._running: _Running | None = None
        #: Guards what the server's thread notes: `_requests` and `_stored`.
        self._arrival = threading.Condition()
        self._requests: list[ReceivedRequest] = []
        self._stored = 0

    def __enter__(self) -> CollectorServer:
        self._forget()
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="logcollector-"))
            store = stack.enter_context(closing(Store(Path(directory) / "logs.sqlite")))
            app = create_app(store, strict=self._strict, limits=self._limits, observer=self._note)
            server = BackgroundServer(app)
            stack.callback(server.stop)
            server.start()
            self._running = _Running(store, server.url, stack.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        running, self._running = self._get(), None
        running.stack.close()

    def _get(self) -> _Running:
        if self._running is None:
            raise RuntimeError("The collector is not running. Ask it inside its `with` block.")
        return self._running

    def _forget(self) -> None:
        with self._arrival:
            self._requests.clear()
            self._stored = 0

    def _note(self, request: ReceivedRequest) -> None:
        with self._arrival:
            self._requests.append(request)
            if not request.repeated:
                self._stored += request.count
            self._arrival.notify_all()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, the `server_url` of a handler."""
        return self._get().url

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What is stored, in order of arrival: the columns that have a value, `metadata` as a dict."""
        entries = self._get().store.in_order_of_arrival()
        for entry in entries:
            del entry["id"]
        return entries

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every POST of logs, also those that were refused, in order of arrival."""
        with self._arrival:
            return list(self._requests)

    @property
    def ignored_keys(self) -> set[str]:
        """Top-level keys of stored entries that are no columns; a well-behaved client leaves this empty."""
        return {key for request in self.requests for key in request.ignored_keys}

    def stats(self) -> dict[str, Any]:
        """What `GET /stats` answers."""
        return self._get().store.stats()

    def wait_for(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until `count` entries or more are stored; False when they are not after `timeout` seconds."""
        with self._arrival:
            return self._arrival.wait_for(lambda: self._stored >= count, timeout)

    def clear(self) -> None:
        """Forget entries, requests and idempotency keys. For when no request is under way."""
        self._get().store.clear()
        self._forget()


class CapturingHandler(LogCollectorHandler):
    """Takes records as its class does, encodes them at once, and keeps what the server would be sent.

    No threads, no network: `entries` is up to date when the logging call returns. Takes the same arguments.
    """

    def __init__(self, level: int | str = logging.NOTSET, **settings: Any) -> None:
        super().__init__(level, **settings)
        self._lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the entry of a record."""
        self._lines.append(_FORMAT.encode_line(self._builder.build(record), self._settings.max_record_bytes))

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What the server would have been sent, in the order of the logging calls, decoded from JSON."""
        return [json.loads(line) for line in self._lines]

    def clear(self) -> None:
        """Forget the entries so far."""
        self._lines.clear()


# When pytest loads this as a plugin it is there already; nobody else pays for its import, or needs it at all.
if "pytest" in sys.modules:
    import pytest

    @pytest.fixture
    def collector() -> Iterator[CollectorServer]:
        """A running strict CollectorServer, a fresh one for each test."""
        with CollectorServer(strict=True) as server:
            yield server

    @pytest.fixture
    def captured_logs() -> Iterator[CapturingHandler]:
        """A CapturingHandler on the root logger, for the time of the test. The loggers' levels stay as they are."""
        handler = CapturingHandler()
        root = logging.getLogger()
        root.addHandler(handler)
        yield handler
        root.removeHandler(handler)
        handler.close()
