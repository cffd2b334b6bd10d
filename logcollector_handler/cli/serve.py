"""`logcollector serve`: the embedded collector on a loopback port, until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import run as serve
from logcollector_handler.collector.store import Store, StoreError


def add_to(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    parser = commands.add_parser("serve", help="run the embedded collector", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1; 0 takes a free one (default: 8000)")
    parser.add_argument(
        "--database",
        type=Path,
        default=Path("logs.sqlite"),
        help="SQLite file for the logs (default: logs.sqlite)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve; 0 when interrupted, 1 when that cannot be done."""
    try:
        store = Store(options.database)
    except (StoreError, OSError) as error:
        print(f"logcollector serve: {error}", file=sys.stderr)
        return 1
    with contextlib.closing(store):
        try:
            serve(create_app(store), "127.0.0.1", options.port, lambda url: _started(url, options.database))
        except OSError as error:
            print(
                f"logcollector serve: port {options.port} cannot be had ({error}); try --port 0",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            pass
    return 0


def _started(url: str, database: Path) -> None:
    print(f"Collecting logs at {url} into {database}. Ctrl-C ends it.", flush=True)
