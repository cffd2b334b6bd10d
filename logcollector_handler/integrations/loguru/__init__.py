"""loguru: a sink that ships each message with its fields.

    logger.add(LogCollectorSink(get_handler()))

It makes a LogRecord of what loguru gives a sink, and passes it to the handler. `sink` is what users add; `message`
makes the record; `rendered` reads a trace that is there as text only; `once` keeps a message that also goes through
the standard library from being shipped twice.
"""

try:
    import loguru  # noqa: F401 - so that the error says what to install
except ImportError as _missing:
    raise ImportError(
        "This integration needs loguru, which is not installed. "
        "Install it with: pip install 'logcollector-handler[loguru]'"
    ) from _missing

from .sink import LogCollectorSink

__all__ = ["LogCollectorSink"]
