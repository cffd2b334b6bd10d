"""gunicorn's settings; logging is configured with them."""

import json
from pathlib import Path

logconfig_dict = json.loads(Path(__file__).with_name("logged.json").read_text())
# What gunicorn gives them of its own would print beside the handler.
logconfig_dict["loggers"] = {
    "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
    "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
}
accesslog = "-"
