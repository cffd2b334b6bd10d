"""The command line, `logcollector`. One file a command; only here is anything printed for people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    from logcollector_handler import __version__

    parser = argparse.ArgumentParser(
        prog="logcollector", description="See the logging handler at work, and the logs that it ships."
    )
    parser.add_argument("--version", action="version", version=f"logcollector-handler {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    try:
        from . import demo, serve
    except ImportError as error:
        # The extra with the embedded collector is missing; the error says how to get it.
        print(f"logcollector: {error}", file=sys.stderr)
        return 2
    for command in (demo, serve):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
