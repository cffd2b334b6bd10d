"""uvicorn in a program of one's own, which asks for a drain before signals have their effect."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn

from logcollector_handler import drain_on_signals

if __name__ == "__main__":
    drain_on_signals()
    log_config = json.loads(Path(__file__).with_name("logged.json").read_text())
    uvicorn.run("fastapi_app:app", fd=int(sys.argv[1]), log_config=log_config)
