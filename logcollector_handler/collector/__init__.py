"""A small real log collection server on SQLite. Knows `wire`, never `delivery`.

Everything in here needs the `collector` extra; importing any part of it without says so.
"""

from importlib.util import find_spec

for _package in ("starlette", "uvicorn"):
    if find_spec(_package) is None:
        raise ImportError(
            f"The embedded collector needs {_package}, which is not installed. "
            "Install it with: pip install 'logcollector-handler[collector]'"
        )
