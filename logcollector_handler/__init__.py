"""Ship logging records to a log collection server. The public names; nothing else lives here."""

from .client import LogClient
from .context import bind_context, clear_context, log_context
from .handler import LogCollectorHandler, get_handler
from .rate_limit import RateLimitFilter
from .settings import SettingError
from .signals import drain_on_signals
from .stats import Stats
from .timing import end_timer, measure, start_timer, timer
from .uncaught import capture_uncaught

__version__ = "0.2.0"

__all__ = [
    "LogClient",
    "LogCollectorHandler",
    "RateLimitFilter",
    "SettingError",
    "Stats",
    "__version__",
    "bind_context",
    "capture_uncaught",
    "clear_context",
    "drain_on_signals",
    "end_timer",
    "get_handler",
    "log_context",
    "measure",
    "start_timer",
    "timer",
]
