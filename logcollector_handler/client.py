"""`LogClient`: the same pipeline for applications that do not use the standard library's loggers.

    with LogClient(service="payment-api") as client:
        client.info("payment accepted", user_id=12345, amount=99.5)

It makes a LogRecord of each call and passes it to a `LogCollectorHandler`, which does everything else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, overload

from . import timing
from .call_site import calling_frame, calling_site, log
from .entry.caller import printed_stack
from .entry.model import LEVEL_NUMBERS, level_called
from .handler import LogCollectorHandler
from .settings.signature import with_settings
from .wrapping import F

if TYPE_CHECKING:
    from typing_extensions import Self

#: The number of the server's level TRACE, which the standard library does not have.
TRACE: Final = LEVEL_NUMBERS["TRACE"]


class _Logger(logging.Logger):
    """A logger outside the logger tree: it has no parent, and `logging.disable` does not apply to it."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the stdlib's name
        return level >= self.level


class LogClient:
    """Logs to a log collection server, with keywords as fields.

    The logging methods return without waiting for the network, and no value that is logged makes them raise. Records
    are sent before the process ends, also without `close()`. They carry the fields bound with `bind_context`.

    `trace`, `debug`, `info`, `warn`, `error`, `fatal` and their other names take what `log` takes behind the level:
    `message`, the text, and any keywords as `fields`.

    Its keywords are the settings of LogCollectorHandler.

    Raises:
        SettingError: (a ValueError) a setting has a value that is not allowed.
        ValueError: `level` is not the name of a level.
    """

    @with_settings
    def __init__(self, level: int | str = TRACE, **settings: Any) -> None:
        """Make the handler that sends what is logged.

        Args:
            level: records below it are discarded; a name or a number. Default `TRACE`, which keeps everything.
        """
        #: Public, so that users can call its `stats()` and add filters.
        self.handler: LogCollectorHandler = LogCollectorHandler(**settings)
        self._logger = _Logger("LogClient", _number(level))
        self._logger.addHandler(self.handler)

    def log(self, level: int | str, message: str, **fields: Any) -> None:
        """Log a message.

        Args:
            level: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL`, or the standard library's name, in any case; or a
                number of the logging module.
            message: the text, without %-formatting.
            fields: a field named like a column of the server fills that column, all others go into `metadata`.

        Raises:
            ValueError: `level` is not the name of a level.
        """
        self._log(_number(level), message, fields)

    def trace(self, message: str, **fields: Any) -> None:
        """Log below DEBUG."""
        self._log(TRACE, message, fields)

    def debug(self, message: str, **fields: Any) -> None:
        """Log at DEBUG."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Log at INFO."""
        self._log(logging.INFO, message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        """Log at WARN."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Log at ERROR, without a stack trace (for one, see `error_with_trace`)."""
        self._log(logging.ERROR, message, fields)

    def fatal(self, message: str, **fields: Any) -> None:
        """Log at FATAL."""
        self._log(logging.CRITICAL, message, fields)

    def error_with_trace(self, message: str, exception: BaseException | None = None, **fields: Any) -> None:
        """Log at ERROR with the stack trace of an exception.

        Args:
            message: the text, without %-formatting.
            exception: default: the exception that is being handled. Without any, the stack of the call is logged.
            fields: as in `log`.
        """
        exception = exception or sys.exc_info()[1]
        stack = printed_stack(calling_frame()) if exception is None else None
        self._log(logging.ERROR, message, fields, exception, stack)

    #: The names of the standard library for three of the methods above.
    warning = warn
    critical = fatal
    exception = error_with_trace

    def timer(self, name: str, /, **fields: Any) -> timing.Timer:
        """Log how long a `with` block takes, at INFO.

        Args:
            name: the message of the record.
            fields: as in `log`.
        """
        return timing.Timer(name, fields, self._logger, logging.INFO)

    def start_timer(self, name: str, /, **fields: Any) -> timing.Timer:
        """Start a timer that `end_timer` ends. The arguments are those of `LogClient.timer`."""
        return timing.Timer(name, fields, self._logger, logging.INFO)

    def end_timer(self, started: timing.Timer, /, **fields: Any) -> float:
        """Log the time since `start_timer`.

        Args:
            started: what `start_timer` has returned.
            fields: more fields, as in `log`.

        Returns:
            The time in milliseconds.
        """
        return timing.end_timer(started, **fields)

    @overload
    def measure(self, function: F, /) -> F: ...
    @overload
    def measure(self, name: str | None = None, /, **fields: Any) -> Callable[[F], F]: ...
    def measure(self, name: Any = None, /, **fields: Any) -> Any:
        """Log how long each call of a function takes, as `logcollector_handler.measure` does, at INFO.

        Args:
            name: the message of the records. Default, and as `@client.measure` without parentheses: the function's own
                name.
            fields: as in `log`.
        """
        return timing.measuring(name, fields, self._logger, logging.INFO)

    def flush(self, timeout: float | None = None) -> bool:
        """Send everything logged so far and wait until it is sent; see LogCollectorHandler.flush.

        Args:
            timeout: seconds. Default `shutdown_timeout`.

        Returns:
            True if everything logged before the call was delivered, or refused by the server for good.
        """
        return self.handler.flush(timeout)

    def close(self) -> None:
        """Send everything logged so far and end the threads, within `shutdown_timeout` seconds."""
        self.handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.handler!r}>"

    def _log(
        self,
        level: int,
        message: str,
        fields: dict[str, Any],
        exception: BaseException | None = None,
        stack: str | None = None,
    ) -> None:
        if level >= self._logger.level:
            log(self._logger, calling_site(), level, message, fields, exception, stack)


def _number(level: int | str) -> int:
    if isinstance(level, str):
        name = level_called(level)
        if name is not None:
            return LEVEL_NUMBERS[name]
    elif isinstance(level, int) and not isinstance(level, bool):
        return level
    raise ValueError(f"level is {level!r}; allowed: {', '.join(LEVEL_NUMBERS)}, or a number")
