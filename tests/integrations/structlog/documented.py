"""The chains that structlog's documentation shows, each under the page that it stands on.

A chain is a function that configures structlog and returns a logger. Before the renderer stands what the Watch has
for that place. Chains of the standard library are in `documented_stdlib`.
"""

from __future__ import annotations

import calendar
import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import structlog
from structlog.processors import (
    CallsiteParameter,
    CallsiteParameterAdder,
    EventRenamer,
    ExceptionRenderer,
    JSONRenderer,
    KeyValueRenderer,
    LogfmtRenderer,
    TimeStamper,
)
from structlog.tracebacks import ExceptionDictTransformer

from .watching import Watch


class Chain(NamedTuple):
    """A chain, and where it stands."""

    page: str
    what: str
    make: Callable[[Watch], Any]
    #: Whether the standard library gets text of it.
    as_text: bool = False


NATIVE: list[Chain] = []


def documented(page: str, what: str) -> Callable[[Callable[[Watch], Any]], Callable[[Watch], Any]]:
    """Adds a chain to the list."""

    def add(make: Callable[[Watch], Any]) -> Callable[[Watch], Any]:
        NATIVE.append(Chain(page, what, make))
        return make

    return add


@documented("getting-started", "the defaults, written out")
def getting_started_defaults(watch: Watch) -> Any:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            *watch.before,
            watch.renderer(structlog.dev.ConsoleRenderer()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger()


def _configured(watch: Watch, *processors: Any, renderer: Any = None, **more: Any) -> Any:
    """A logger of a chain that is configured by its processors, as short examples do."""
    last = watch.renderer(renderer or KeyValueRenderer())
    structlog.configure(processors=[*processors, *watch.before, last], **more)
    return structlog.get_logger()


@documented("getting-started", "a time stamped by a function of one's own, under `time`")
def getting_started_timestamper(watch: Watch) -> Any:
    def timestamper(_: Any, __: str, event_dict: Any) -> Any:
        event_dict["time"] = "2018-01-21T09:37:36.976816"
        return event_dict

    return _configured(watch, timestamper)


@documented("getting-started", "JSONRenderer alone")
def getting_started_json(watch: Watch) -> Any:
    return _configured(watch, renderer=JSONRenderer())


@documented("logging-best-practices", "dict_tracebacks, JSONRenderer")
def best_practices_json(watch: Watch) -> Any:
    return _configured(watch, structlog.processors.dict_tracebacks, renderer=JSONRenderer())


@documented("logging-best-practices", "ConsoleRenderer")
def best_practices_console(watch: Watch) -> Any:
    return _configured(watch, renderer=structlog.dev.ConsoleRenderer())


@documented("performance", "as fast as it gets: bytes of a fast serializer, BytesLogger")
def performance_as_fast_as_it_gets(watch: Watch) -> Any:
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            TimeStamper(fmt="iso", utc=True),
            *watch.before,
            # The page names msgspec beside orjson, which is what it shows.
            watch.renderer(JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event))),
        ],
        logger_factory=structlog.BytesLoggerFactory(),
    )
    return structlog.get_logger()


@documented("performance", "WriteLogger")
def performance_write_logger(watch: Watch) -> Any:
    return _configured(watch, renderer=JSONRenderer(), logger_factory=structlog.WriteLoggerFactory())


@documented("processors", "whole Unix seconds")
def processors_unix_time(watch: Watch) -> Any:
    def timestamper(logger: Any, log_method: str, event_dict: Any) -> Any:
        event_dict["timestamp"] = calendar.timegm(time.gmtime())
        return event_dict

    return _configured(watch, timestamper)


@documented("exceptions", "ExceptionRenderer with a function of one's own")
def exceptions_own_function(watch: Watch) -> Any:
    return _configured(watch, ExceptionRenderer(lambda exc_info: f"{exc_info[1]!r}"))


@documented("exceptions", "format_exc_info")
def exceptions_formatted(watch: Watch) -> Any:
    return _configured(watch, structlog.processors.format_exc_info)


@documented("exceptions", "ExceptionDictTransformer with settings")
def exceptions_dicts_without_locals(watch: Watch) -> Any:
    transformer = ExceptionDictTransformer(show_locals=False, max_frames=4)
    return _configured(watch, ExceptionRenderer(transformer), renderer=JSONRenderer())


@documented("api", "ExceptionPrettyPrinter")
def exceptions_pretty_printer(watch: Watch) -> Any:
    """Prints the exception and takes it out of the event, so it has to stand behind whoever ships it."""
    printer = structlog.processors.ExceptionPrettyPrinter(file=io.StringIO())
    structlog.configure(processors=[*watch.before, watch.renderer(lambda *event: event[2]), printer, JSONRenderer()])
    return structlog.get_logger()


@documented("contextvars", "merge_contextvars, KeyValueRenderer with an order")
def contextvars_key_value(watch: Watch) -> Any:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(a=1, b=2)
    return _configured(
        watch, structlog.contextvars.merge_contextvars, renderer=KeyValueRenderer(key_order=["event", "a"])
    )


@documented("recipes", "EventRenamer that puts something else in the place of `event`")
def recipes_event_renamer(watch: Watch) -> Any:
    return _configured(watch, EventRenamer("msg", "_event")).bind(_event="our event!")


@documented("recipes", "EventRenamer")
def recipes_event_renamer_alone(watch: Watch) -> Any:
    return _configured(watch, EventRenamer("msg"), renderer=JSONRenderer())


@documented("recipes", "a filter on CallsiteParameterAdder's function")
def recipes_fine_filtering(watch: Watch) -> Any:
    def filter_f(_: Any, __: str, event_dict: Any) -> Any:
        if event_dict.get("func_name") == "f":
            raise structlog.DropEvent
        return event_dict

    return _configured(watch, CallsiteParameterAdder([CallsiteParameter.FUNC_NAME]), filter_f)


@documented("recipes", "customised dict tracebacks")
def recipes_redacted_tracebacks(watch: Watch) -> Any:
    class Redacting(ExceptionDictTransformer):
        def __call__(self, exc_info: Any) -> Any:
            found = super().__call__(exc_info)
            for each in found:
                for frame in each["frames"]:
                    frame["locals"] = dict.fromkeys(frame.get("locals") or (), "<REDACTED>")
            return found

    return _configured(watch, ExceptionRenderer(Redacting()), renderer=JSONRenderer())


@documented("recipes", "PrintLogger on stderr")
def recipes_standard_error(watch: Watch) -> Any:
    return _configured(watch, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


class SemanticLogger(structlog.BoundLoggerBase):
    """The page's example of a wrapper class."""

    def info(self, event: str, **kw: Any) -> Any:
        return self._proxy_to_logger("info", event, **{"status": "ok", **kw})

    def user_error(self, event: str, **kw: Any) -> Any:
        self.info(event, status="user_error", **kw)


@documented("recipes", "a wrapper class of one's own")
def recipes_custom_wrapper(watch: Watch) -> Any:
    return _configured(watch, wrapper_class=SemanticLogger).bind(user="fprefect")


class CustomPrintLogger:
    def msg(self, message: str) -> None:
        print(message)  # noqa: T201 - the example's

    info = error = msg


@documented("bound-loggers", "wrap_logger around a logger of one's own")
def bound_loggers_wrapped_by_hand(watch: Watch) -> Any:
    return structlog.wrap_logger(
        CustomPrintLogger(),
        wrapper_class=structlog.BoundLogger,
        processors=[*watch.before, watch.renderer(lambda *event: repr(event[2]))],
    ).bind()


@documented("testing", "CapturingLogger")
def testing_captured_calls(watch: Watch) -> Any:
    return _configured(watch, renderer=JSONRenderer(), logger_factory=structlog.testing.CapturingLoggerFactory())


@documented("thread-local", "merge_threadlocal")
def thread_local_merged(watch: Watch) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from structlog import threadlocal

        threadlocal.clear_threadlocal()
        threadlocal.bind_threadlocal(request=threading.current_thread().name)

    def merged(*event: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return threadlocal.merge_threadlocal(*event)

    return _configured(watch, merged)


@documented("frameworks", "the current span of OpenTelemetry as a dict")
def frameworks_open_telemetry(watch: Watch) -> Any:
    def add_open_telemetry_spans(_: Any, __: str, event_dict: Any) -> Any:
        event_dict["span"] = {"span_id": "00f067aa0ba902b7", "trace_id": f"{7:032x}", "parent_span_id": None}
        return event_dict

    return _configured(watch, add_open_telemetry_spans)


@documented("api", "LogfmtRenderer")
def api_logfmt(watch: Watch) -> Any:
    return _configured(watch, structlog.processors.add_log_level, renderer=LogfmtRenderer(bool_as_flag=False))


@documented("api", "CallsiteParameterAdder with every parameter")
def api_every_call_site_parameter(watch: Watch) -> Any:
    # structlog fails on `qual_name` before Python 3.11.
    every = [each for each in CallsiteParameter if each.value != "qual_name" or sys.version_info >= (3, 11)]
    return _configured(watch, CallsiteParameterAdder(every), renderer=JSONRenderer())


@documented("api", "UnicodeEncoder")
def api_unicode_encoder(watch: Watch) -> Any:
    stamper = TimeStamper(fmt="iso")
    level, encoder = structlog.processors.add_log_level, structlog.processors.UnicodeEncoder()
    return _configured(watch, level, stamper, structlog.processors.format_exc_info, encoder)


@documented("api", "TimeStamper of years, MaybeTimeStamper")
def api_year_under_a_key_of_its_own(watch: Watch) -> Any:
    return _configured(watch, TimeStamper(fmt="%Y", key="year"), structlog.processors.MaybeTimeStamper())
