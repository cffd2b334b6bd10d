"""For tests: a real collector inside the test's process, with real HTTP and real storage.

    with CollectorServer(strict=True) as collector:
        configure_logging(server_url=collector.url)
        ...
        assert collector.wait_for(3, timeout=5)
        assert collector.entries[0]["message"] == "started"

`CapturingHandler` works without a network: it keeps in memory what a handler would send.

For pytest there are two fixtures: `collector`, a strict CollectorServer, and `captured_logs`, a CapturingHandler on
the root logger that gets INFO and above, or what `captured_logs.set_level` says. Put
`pytest_plugins = ["logcollector_handler.testing"]` in a conftest. Nothing else in here needs pytest. Everything in here
needs `pip install 'logcollector-handler[collector]'`.

PYTEST_DONT_REWRITE: this file has no asserts to rewrite, and without this word pytest warns when a conftest imports the
file before pytest loads it as a plugin.
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

from .collector.app import create_app
from .collector.posting import ReceivedRequest
from .collector.server import BackgroundServer
from .collector.store import Store
from .delivery.pipeline import format_of
from .handler import LogCollectorHandler
from .settings.signature import with_settings
from .wire.posted.body import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["CapturedLogs", "CapturingHandler", "CollectorServer", "Limits", "ReceivedRequest"]


class _Running(NamedTuple):
    """The parts of a CollectorServer inside its `with` block."""

    store: Store
    url: str
    #: Stops the server, then closes and removes the store.
    stack: ExitStack


class CollectorServer:
    """A collector on a free loopback port, with a store that exists only inside the `with` block.

    With `strict=True` it answers as the real server does: 500 to the whole batch if a column refuses one value. It
    ignores top-level keys that are not columns, as that does; `ignored_keys` has their names. Else they are kept in
    `metadata`.
    Otherwise it answers such a batch with 422 and the index of the entry, and takes `created_at` in milliseconds, too.
    `limits` bounds what one request may hold; it answers 413 to larger ones.

    At the end of the `with` block the stored logs are removed: outside it `url`, `entries`, `stats` and `clear` raise
    RuntimeError. So does entering it if the server cannot start. It may be entered again, and is empty then.
    """

    def __init__(self, *, strict: bool = False, limits: Limits | None = None) -> None:
        self._strict = strict
        self._limits = limits
        self._running: _Running | None = None
        #: Guards `_requests` and `_stored`, which the server's thread changes; notified of each request.
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
        """The stored entries in order of arrival: the columns that have a value, `metadata` as a dict."""
        entries = self._get().store.in_order_of_arrival()
        for entry in entries:
            del entry["id"]
        return entries

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every POST of logs in order of arrival, including those that were refused."""
        with self._arrival:
            return list(self._requests)

    @property
    def ignored_keys(self) -> set[str]:
        """Top-level keys of stored entries whose values were not stored."""
        return {key for request in self.requests for key in request.ignored_keys}

    def stats(self) -> dict[str, Any]:
        """The answer to `GET /stats`."""
        return self._get().store.stats()

    def wait_for(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until at least `count` entries are stored; False if they are not within `timeout` seconds."""
        with self._arrival:
            return self._arrival.wait_for(lambda: self._stored >= count, timeout)

    def clear(self) -> None:
        """Forget entries, requests and idempotency keys. Call it only while no request is being served."""
        self._get().store.clear()
        self._forget()


class CapturingHandler(LogCollectorHandler):
    """Encodes each record at once, as a LogCollectorHandler would, and keeps the result instead of sending it.

    It has no threads and uses no network: `entries` is complete when the logging call returns. Its keywords are the
    settings of LogCollectorHandler. It captures also where `LOGCOLLECTOR_ENABLED` is false, as it may be for tests.

    Raises:
        SettingError: (a ValueError) a setting has a value that is not allowed.
    """

    @with_settings
    def __init__(self, level: int | str = logging.NOTSET, **settings: Any) -> None:
        """Check the settings.

        Args:
            level: records below it are not captured. Default `NOTSET`, which captures all.
        """
        super().__init__(level, **{"enabled": True, **settings})
        self._lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Encode the record and keep its entry."""
        self._lines.append(
            format_of(self._settings).encode_line(self._builder.build(record), self._settings.max_record_bytes)
        )

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries that would have been sent, in the order of the logging calls, decoded from JSON."""
        return [json.loads(line) for line in self._lines]

    def clear(self) -> None:
        """Forget the entries kept so far."""
        self._lines.clear()


class CapturedLogs(CapturingHandler):
    """The handler of the fixture `captured_logs`, which can also set the levels of loggers until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        #: Undoes what `set_level` has changed, the last change first.
        self._before = ExitStack()

    def set_level(self, level: int | str, logger: str | None = None) -> None:
        """Let records of this level and above pass, until the test ends.

        Args:
            level: a name or a number.
            logger: the name of a logger. Default: the root logger, whose level holds for all that have none.
        """
        target = logging.getLogger(logger)
        self._before.callback(target.setLevel, target.level)
        target.setLevel(level)
        # `logging.disable` wins over the levels of loggers, and a test suite may have called it.
        if target.manager.disable >= target.level:
            self._before.callback(logging.disable, target.manager.disable)
            logging.disable(target.level - 1)

    def close(self) -> None:
        """Restore the levels."""
        self._before.close()
        super().close()


# pytest is imported already when it loads this file as a plugin. Without pytest the fixtures are not needed.
if "pytest" in sys.modules:
    import pytest

    @pytest.fixture
    def collector() -> Iterator[CollectorServer]:
        """A running strict CollectorServer, a fresh one for each test."""
        with CollectorServer(strict=True) as server:
            yield server

    @pytest.fixture
    def captured_logs() -> Iterator[CapturedLogs]:
        """A CapturedLogs on the root logger during the test, which lets INFO and above pass meanwhile."""
        handler = CapturedLogs()
        root = logging.getLogger()
        if not root.isEnabledFor(logging.INFO):
            handler.set_level(logging.INFO)
        root.addHandler(handler)
        yield handler
        root.removeHandler(handler)
        handler.close()
