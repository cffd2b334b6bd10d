"""The chains that structlog's documentation shows for loggers of the standard library; as in `documented`."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Callable
from typing import Any

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder, JSONRenderer, TimeStamper
from structlog.stdlib import LoggerFactory, ProcessorFormatter

from .chains import plain_logger
from .documented import Chain
from .watching import Watch

STDLIB: list[Chain] = []
BOUND = structlog.stdlib.BoundLogger


Make = Callable[[Watch], Any]


def _chain(what: str, page: str = "standard-library", *, as_text: bool = False) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        STDLIB.append(Chain(page, what, make, as_text))
        return make

    return add


@_chain("recreate_defaults", as_text=True)
def recreated(watch: Watch) -> Any:
    structlog.stdlib.recreate_defaults(log_level=None)
    *others, last = structlog.get_config()["processors"]
    structlog.configure(processors=[*others, *watch.before, watch.renderer(last)])
    return structlog.get_logger("shop").bind()


@_chain("rendering within structlog", as_text=True)
def rendered_within(watch: Watch) -> Any:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            CallsiteParameterAdder({CallsiteParameter.FILENAME, CallsiteParameter.FUNC_NAME, CallsiteParameter.LINENO}),
            *watch.before,
            watch.renderer(JSONRenderer()),
        ],
        wrapper_class=BOUND,
        logger_factory=LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("shop").bind()


def _by_logging(watch: Watch, last: Any) -> Any:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_log_level_number,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            *watch.before,
            watch.renderer(last),
        ],
        logger_factory=LoggerFactory(),
        wrapper_class=BOUND,
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("shop").bind()


@_chain("render_to_log_kwargs")
def log_kwargs(watch: Watch) -> Any:
    return _by_logging(watch, structlog.stdlib.render_to_log_kwargs)


@_chain("render_to_log_args_and_kwargs")
def log_args_and_kwargs(watch: Watch) -> Any:
    return _by_logging(watch, structlog.stdlib.render_to_log_args_and_kwargs)


def _formatting(watch: Watch, formatter: ProcessorFormatter) -> None:
    """Put the formatter on another handler, which comes before or after ours."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    handlers = logging.getLogger().handlers
    handlers.insert(0 if watch.formatted_first else len(handlers), handler)


@_chain("the simplest ProcessorFormatter")
def simplest_formatter(watch: Watch) -> Any:
    structlog.configure(
        processors=[*watch.before, ProcessorFormatter.wrap_for_formatter],
        logger_factory=LoggerFactory(),
        wrapper_class=BOUND,
    )
    renderer = watch.renderer(structlog.dev.ConsoleRenderer())
    _formatting(watch, ProcessorFormatter(processors=[*watch.before_formatter, renderer]))
    return structlog.get_logger("shop").bind()


@_chain("ProcessorFormatter with a chain for others' records")
def shared_processors(watch: Watch) -> Any:
    shared: list[Any] = [structlog.stdlib.add_log_level, TimeStamper(fmt="%Y-%m-%d %H:%M:%S")]
    structlog.configure(
        processors=[*shared, *watch.before, ProcessorFormatter.wrap_for_formatter],
        logger_factory=LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            *watch.before_formatter,
            watch.renderer(structlog.dev.ConsoleRenderer()),
        ],
    )
    _formatting(watch, formatter)
    return structlog.get_logger("shop").bind()


def extract_from_record(_: Any, __: str, event_dict: Any) -> Any:
    record = event_dict["_record"]
    event_dict["thread_name"] = record.threadName
    event_dict["process_name"] = record.processName
    return event_dict


@_chain("two ProcessorFormatters of dictConfig")
def two_formatters(watch: Watch) -> Any:
    stamper = TimeStamper(fmt="%Y-%m-%d %H:%M:%S")
    pre_chain: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(), stamper]
    for before in ([extract_from_record], []):
        console = watch.renderer(structlog.dev.ConsoleRenderer(colors=bool(before)))
        processors = [*before, ProcessorFormatter.remove_processors_meta, *watch.before_formatter, console]
        _formatting(watch, ProcessorFormatter(processors=processors, foreign_pre_chain=pre_chain))
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            stamper,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *watch.before,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=LoggerFactory(),
        wrapper_class=BOUND,
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("shop").bind()


@_chain("EventRenamer before a ProcessorFormatter", "recipes")
def renamed(watch: Watch) -> Any:
    structlog.configure(
        processors=[
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.EventRenamer("msg", "_event"),
            *watch.before,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=LoggerFactory(),
        wrapper_class=BOUND,
    )
    processors = [
        ProcessorFormatter.remove_processors_meta,
        *watch.before_formatter,
        watch.renderer(JSONRenderer(default=repr)),
    ]
    _formatting(watch, ProcessorFormatter(processors=processors))
    return structlog.get_logger("shop").bind(_event="our event!")


@_chain("wrap_logger around Celery's logger", "frameworks", as_text=True)
def wrapped_logger(watch: Watch) -> Any:
    """Any logger that structlog has not made; structlog's defaults render."""
    *others, last = structlog.get_config()["processors"]
    structlog.configure(processors=[*others, *watch.before, watch.renderer(last)])
    return structlog.wrap_logger(plain_logger()).bind()


@_chain("wrap_logger around the root logger", "configuration")
def wrapped_root(watch: Watch) -> Any:
    processors: list[Any] = [structlog.stdlib.PositionalArgumentsFormatter(), *watch.before]
    last = watch.renderer(structlog.stdlib.render_to_log_kwargs)
    return structlog.wrap_logger(logging.getLogger(), processors=[*processors, last], wrapper_class=BOUND).bind()


@_chain("LoggerFactory alone", "configuration", as_text=True)
def factory_alone(watch: Watch) -> Any:
    *others, last = structlog.get_config()["processors"]
    structlog.configure(processors=[*others, *watch.before, watch.renderer(last)], logger_factory=LoggerFactory())
    return structlog.get_logger("shop").bind()
