"""The wire `otlp` beside OpenTelemetry's own SDK and exporter: both are given the same records of the standard library,
and what each posts is read by the official classes. All differences are listed here, each with its reason.
"""

from __future__ import annotations

import datetime
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from logcollector_handler import LogCollectorHandler
from tests.needed import packages
from tests.wire.reading import named, plain

with packages():
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

pytestmark = pytest.mark.integration

Facts = dict[str, Any]

#: When all records were logged, in seconds; as a float exactly this many nanoseconds.
CREATED = 1795723172.9446397
NANOSECONDS = 1795723172944639683

#: What differs in every record, and why.
ALWAYS = {
    "time": "ours is the float of the record, exactly; theirs is a product of floats, some hundred nanoseconds off",
    "observed": "ours is the time of the record; theirs is the time at which their handler was given it",
    "resource telemetry.sdk.name": "each names itself",
    "resource telemetry.sdk.version": "each names itself",
    "resource host.name": "ours alone; theirs with a resource detector",
    "resource process.pid": "ours alone; theirs with a resource detector",
    "resource service.instance.id": "theirs alone, random: ours is process.pid, or OTEL_RESOURCE_ATTRIBUTES says it",
    "thread.name": "ours alone",
    "log_type": "ours alone: the collector's column",
}
#: What differs in some records, by their messages.
SOMETIMES = {
    "between": {
        "number": "ours has one number a level of the server; theirs has four, INFO4 for 27",
        "text": "ours is the level of the server, INFO; theirs is the name in logging, `Level 27`",
    },
    "trace": {
        "number": "ours is TRACE, 1; theirs is unspecified below 10",
        "text": "ours is TRACE; theirs is the name in logging, `Level 7`",
    },
    "a column": {
        "user.id": "ours has the name of the conventions, and text, because the column has text",
        "user_id": "theirs has the name that was used",
    },
    "values": {
        "date": "ours is ISO 8601; theirs is `str`, after a warning",
        "large": "ours is text; theirs is left out, after an error on stderr",
        "nan": "ours is no value, as NaN is in JSON; theirs is a double",
        "bytes": "ours is text, as in all formats; theirs is bytes",
        "password": "ours is masked",
    },
    "failed": {
        "code.line.number": "ours is the line that raised; theirs is that of the logging call",
        "code.function.name": "ours is the function that raised; theirs is that of the logging call",
        "exception.message": "ours is `str` of the exception; theirs is its first argument",
        "exception.stacktrace": "theirs ends with a line end",
    },
    "{'a': 1}": {
        "body": "ours is text, because `message` is; theirs is a map",
        "a": "ours has the fields of a dict as fields",
    },
    "in a span": {"flags": "theirs says whether the span was sampled"},
    "nul \ufffd": {"body": "ours has U+FFFD for U+0000, which many databases refuse"},
}


class Receiver(BaseHTTPRequestHandler):
    """Keeps the bodies of each path."""

    bodies: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies[self.path] = self.bodies.get(self.path, b"") + body
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def receiver() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server on loopback: its URL, and what was posted to it by path."""
    bodies: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Keeping", (Receiver,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def facts(body: bytes) -> list[Facts]:
    """What a body says of each record."""
    return [
        {f"resource {name}": value for name, value in named(resource_logs.resource.attributes).items()}
        | named(each.attributes)
        | {
            "scope": scope_logs.scope.name,
            "time": each.time_unix_nano,
            "observed": each.observed_time_unix_nano,
            "number": each.severity_number,
            "text": each.severity_text,
            "body": plain(each.body),
            "trace": each.trace_id,
            "span": each.span_id,
            "flags": each.flags,
        }
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope_logs in resource_logs.scope_logs
        for each in scope_logs.log_records
    ]


def at_one_time(record: logging.LogRecord) -> bool:
    record.created = CREATED
    return True


class OwnError(Exception):
    pass


def fail() -> None:
    raise OwnError("the bank", "said no")


def log_all(log: logging.Logger) -> None:
    for level in logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL:
        log.log(level, "level %d of %s", level, "five")
    # Numbers that nobody gives a name, also not in another test.
    log.log(27, "between")
    log.log(7, "trace")
    same = {"b": True, "i": -7, "f": 2.5, "t": "é😀", "n": None, "l": [1, "x", None, {"k": [2]}], "d": {"d": {"e": 1}}}
    log.info("the same", extra=same)
    log.info("a column", extra={"user_id": 7})
    odd = {"date": datetime.datetime(2026, 1, 1), "large": 2**63, "nan": float("nan"), "bytes": b"\xff"}
    log.info("values", extra={**odd, "password": "hunter2"})
    try:
        fail()
    except OwnError:
        log.exception("failed")
    log.info({"a": 1})
    with TracerProvider().get_tracer("shop").start_as_current_span("pay"):
        log.info("in a span")
    log.info("nul \0")


def both(url: str, bodies: dict[str, bytes]) -> tuple[list[Facts], list[Facts]]:
    """What is read of our records, and of OpenTelemetry's."""
    names = {"service.name": "shop", "service.version": "v1", "deployment.environment.name": "production"}
    provider = LoggerProvider(resource=Resource.create(names))
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/theirs/v1/logs")))
    with warnings.catch_warnings():
        # It moves to another package, with the same content.
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = LoggingHandler(logger_provider=provider)
    ours = LogCollectorHandler(
        server_url=f"{url}/ours", wire="otlp", service="shop", service_version="v1", environment="production"
    )
    log = logging.Logger("shop.cart", 1)  # noqa: LOG001 - it is known nowhere else, so nothing has to be put back
    log.addFilter(at_one_time)
    log.addHandler(ours)
    log.addHandler(theirs)
    log_all(log)
    assert ours.flush(10)
    ours.close()
    provider.shutdown()
    return facts(bodies["/ours/v1/logs"]), facts(bodies["/theirs/v1/logs"])


def test_records_are_those_of_opentelemetrys_exporter_but_for_the_differences_that_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    with receiver() as (url, bodies):
        ours, theirs = both(url, bodies)
    assert len(ours) == len(theirs) == 14
    for mine, other in zip(ours, theirs, strict=True):
        missing = object()
        different = {
            name
            for name in mine.keys() | other.keys()
            if repr(mine.get(name, missing)) != repr(other.get(name, missing))
        }
        assert different == {*ALWAYS, *SOMETIMES.get(mine["body"], ())}, mine["body"]
        assert mine["time"] == mine["observed"] == NANOSECONDS
    assert {mine["body"] for mine in ours} >= SOMETIMES.keys()
