"""The embedded collector: a small but real log collection server on SQLite.

Of the package it uses `entry.model` and `wire` alone. It needs the `collector` extra: without that, importing any part
of it raises an ImportError that names the command to install it.
"""

from importlib.util import find_spec

for _package in ("starlette", "uvicorn"):
    if find_spec(_package) is None:
        raise ImportError(
            f"The embedded collector needs {_package}, which is not installed. "
            "Install it with: pip install 'logcollector-handler[collector]'"
        )
