"""`logcollector serve`: the embedded collector on a loopback port, until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import run as serve
from logcollector_handler.collector.store import Store, StoreError


def run(options: argparse.Namespace) -> int:
    """Serve; 0 when interrupted, 1 when that cannot be done."""
    try:
        store = Store(options.database)
    except StoreError as error:
        print(f"logcollector serve: {error}", file=sys.stderr)
        return 1
    with contextlib.closing(store):
        try:
            serve(
                create_app(store),
                "127.0.0.1",
                options.port,
                started=lambda url: print(f"Collecting logs at {url} into {options.database}. Ctrl-C ends it."),
            )
        except OSError as error:
            # What Python adds to the system's words says the address once more.
            reason = os.strerror(error.errno) if error.errno else error
            print(
                f"logcollector serve: port {options.port} cannot be had ({reason}). "
                "Name another with --port, or 0 for a free one.",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            print()  # Behind the ^C that the terminal shows.
    return 0
