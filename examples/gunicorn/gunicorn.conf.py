"""Two workers whose logs reach the collector, gunicorn's own lines among them."""

bind = "127.0.0.1:8080"
workers = 2
# The handler may be configured before the workers are forked: each starts its own threads with its first record.
preload_app = True
# Seconds that a worker has for its end. Longer than the handler's `shutdown_timeout`, which is 5.
graceful_timeout = 15

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
    },
    "root": {"level": "INFO", "handlers": ["collector"]},
    # gunicorn gives these two handlers of their own; what reaches the root logger is enough.
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
}
