"""The command line, `logcollector`: one file a command; what each takes is in `arguments`.

Only this directory prints to stdout.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from logcollector_handler.handler import tell_misspelt

from .arguments import Run, for_argparse, parser

#: Exit statuses besides 0; 130 is what shells report for a command that SIGINT ended.
FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after `logcollector` on the command line. Default: those of this process.

    Returns:
        The exit status: 0 success, 1 failure, 2 wrong arguments or a missing extra, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Writes each line at once, also into a pipe, and escapes characters that the encoding does not have.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    options = parser().parse_args(for_argparse(sys.argv[1:] if arguments is None else list(arguments)))
    if options.command != "doctor":  # It says so itself.
        tell_misspelt()
    try:
        run: Run = options.load()
    except ImportError as error:
        # The `collector` extra is not installed; the error has the command that installs it.
        print(f"logcollector: {error}", file=sys.stderr)
        return UNUSABLE
    try:
        return run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output is gone (`| head`). The interpreter flushes stdout at exit: it needs somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
