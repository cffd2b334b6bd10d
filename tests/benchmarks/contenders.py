"""Who is measured: each puts its handler on a logger and returns how to wait until everything was sent.

Each as its documentation sets it up, with a queue of 10,000 where the default is smaller and can be set: nobody
shall lose for want of room that this package has.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

#: Waits at most that many seconds until all was sent. It need not be sure of it: the sink counts.
Flush = Callable[[float], object]


@dataclass(frozen=True)
class Contender:
    """One of those that are compared."""

    label: str
    start: Callable[[logging.Logger, str], Flush]
    #: What it imports; without it the contender is left out.
    needs: str = "logging"
    #: It sends to the sink.
    sends: bool = True
    #: It takes a hundred times the others' time; measured once, where that can be waited for.
    slow: bool = False

    def is_here(self) -> bool:
        try:
            return find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False


class Nothing(logging.Handler):
    """Does nothing with a record."""

    def emit(self, record: logging.LogRecord) -> None:
        pass


def _floor(log: logging.Logger, url: str) -> Flush:
    log.addHandler(Nothing())
    return lambda seconds: None


def _stdlib(log: logging.Logger, url: str) -> Flush:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, Nothing())
    listener.start()
    log.addHandler(logging.handlers.QueueHandler(waiting))

    def flush(seconds: float) -> None:
        listener.stop()
        listener.start()

    return flush


def _ours(**settings: Any) -> Callable[[logging.Logger, str], Flush]:
    def start(log: logging.Logger, url: str) -> Flush:
        from logcollector_handler import LogCollectorHandler

        if "spool_dir" in settings or "durability" in settings:
            settings["spool_dir"] = tempfile.mkdtemp(prefix="logcollector-benchmark-")
        handler = LogCollectorHandler(server_url=url, service="shop", **settings)
        log.addHandler(handler)
        return handler.flush

    return start


def _opentelemetry(log: logging.Logger, url: str) -> Flush:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs", compression=Compression.Gzip)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=10_000))
    log.addHandler(LoggingHandler(logger_provider=provider))
    return lambda seconds: provider.force_flush(int(seconds * 1000))


def _logtail(log: logging.Logger, url: str) -> Flush:
    from logtail import LogtailHandler

    handler = LogtailHandler("token", host=url, buffer_capacity=10_000)
    log.addHandler(handler)

    def flush(seconds: float) -> None:
        handler.flush_timeout = seconds
        handler.flush()

    return flush


def _logzio(log: logging.Logger, url: str) -> Flush:
    from logzio.handler import LogzioHandler

    handler = LogzioHandler("token", url=url, backup_logs=False)
    log.addHandler(handler)
    return lambda seconds: handler.flush()


def _logstash(log: logging.Logger, url: str) -> Flush:
    from logstash_async.handler import AsynchronousLogstashHandler

    database = tempfile.mkdtemp(prefix="logstash-benchmark-") + "/events.sqlite"
    handler = AsynchronousLogstashHandler("127.0.0.1", int(url.rpartition(":")[2]), database)
    log.addHandler(handler)

    def flush(seconds: float) -> None:
        # Its flush returns at once; its close sends all there is, however long that takes. It opens again by itself.
        closing = threading.Thread(target=handler.close, daemon=True)
        closing.start()
        closing.join(seconds)

    return flush


def _sentry(log: logging.Logger, url: str) -> Flush:
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration, SentryLogsHandler

    # Its logs alone: breadcrumbs and events of errors are another product.
    sentry_sdk.init(
        dsn=url.replace("http://", "http://key@") + "/1",
        enable_logs=True,
        default_integrations=False,
        integrations=[LoggingIntegration(level=None, event_level=None, sentry_logs_level=None)],
    )
    log.addHandler(SentryLogsHandler())
    return lambda seconds: sentry_sdk.flush(seconds)


CONTENDERS = {
    "floor": Contender("a handler that does nothing", _floor, sends=False),
    "stdlib": Contender("stdlib QueueHandler, to nowhere", _stdlib, sends=False),
    "memory": Contender("this handler", _ours()),
    "batch-5000": Contender("this handler, batch_size 5000", _ours(batch_size=5000)),
    "ndjson": Contender("this handler, wire ndjson", _ours(wire="ndjson")),
    "otlp": Contender("this handler, wire otlp", _ours(wire="otlp")),
    "spool": Contender("this handler, spool", _ours(spool_dir="")),
    "record": Contender("this handler, durability record", _ours(durability="record")),
    "fsync": Contender("this handler, record and fsync", _ours(durability="record", fsync=True), slow=True),
    "opentelemetry": Contender("OpenTelemetry SDK, OTLP/HTTP, gzip", _opentelemetry, "opentelemetry.exporter.otlp"),
    "logtail": Contender("logtail-python", _logtail, "logtail"),
    "logzio": Contender("logzio-python-handler", _logzio, "logzio"),
    "sentry": Contender("sentry-sdk, logs", _sentry, "sentry_sdk"),
    "logstash": Contender("python-logstash-async, SQLite", _logstash, "logstash_async", slow=True),
}
