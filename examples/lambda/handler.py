"""An AWS Lambda function. Lambda freezes the process as soon as the function has returned, so it sends before that."""

import logging.config
import os
from typing import Any

from logcollector_handler import get_handler, log_context

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "collector": {
                "class": "logcollector_handler.LogCollectorHandler",
                "service": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "payments"),
                "service_version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                # A request that takes longer is given up, and sent again at the next call.
                "timeout": 2.0,
            },
        },
        "root": {"level": "INFO", "handlers": ["collector"]},
    }
)
log = logging.getLogger("payments")

#: Seconds that a call may take longer because the collector is slow or away.
AT_MOST = 2.0


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What Lambda calls."""
    with log_context(request_id=context.aws_request_id):
        try:
            log.info("payment accepted", extra={"amount": event["amount"]})
            return {"statusCode": 200}
        except Exception:
            log.exception("payment failed")
            raise
        finally:
            get_handler().flush(AT_MOST)
