"""Ships logging records to a log collection server over HTTP: in batches, compressed, from the background.

    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "payment-api"},
            },
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )

`LogCollectorHandler` has the settings, `get_handler` finds the handler that `dictConfig` made, and `LogClient` is the
same handler without loggers. The other names are here because applications call them. There are more modules:

- `logcollector_handler.integrations.asgi`: FastAPI, Starlette, Django
- `logcollector_handler.integrations.wsgi`: Flask, Django
- `logcollector_handler.integrations.browser`: web pages that log
- `logcollector_handler.integrations.celery`, `logcollector_handler.integrations.rq`: tasks and jobs
- `logcollector_handler.integrations.structlog`, `logcollector_handler.integrations.loguru`: other loggers
- `logcollector_handler.integrations.prometheus`, `logcollector_handler.integrations.opentelemetry`: counts as metrics
- `logcollector_handler.testing`: a collector and fixtures for tests
"""

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
