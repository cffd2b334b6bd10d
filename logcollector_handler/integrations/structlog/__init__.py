"""structlog: a processor that ships each event with its fields, and passes it on unchanged.

    handler = get_handler()
    structlog.configure(processors=[..., LogCollectorProcessor(handler), structlog.dev.ConsoleRenderer()])

It makes a LogRecord of the event and passes it to the handler, as a logger does. The handler turns that into an entry
in the same way as events that structlog sends through the standard library.

`processor` is what users call; `event` makes the record; `times` reads timestamps; `once` keeps an event from being
shipped twice.
"""

try:
    import structlog  # noqa: F401 - so that the error says what to install
except ImportError as _missing:
    raise ImportError(
        "This integration needs structlog, which is not installed. "
        "Install it with: pip install 'logcollector-handler[structlog]'"
    ) from _missing

from .processor import LogCollectorProcessor

__all__ = ["LogCollectorProcessor"]
