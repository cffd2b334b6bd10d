"""`logcollector query`: prints the logs of a collector that match, the newest first, and ends."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from typing import Final

from .entries import plain, shown
from .remote import RefusedError, Remote, asked

#: Seconds without data after which the server counts as dead. A search may find nothing for long.
SILENCE: Final = 300.0
#: Bytes that are read at once.
_PIECE: Final = 64 * 1024


def run(options: argparse.Namespace) -> int:
    """Print them. Returns 1 if the server is away or refuses the request, 2 if an argument is wrong."""
    if options.columns is not None and not (options.json or options.csv):
        print("logcollector query: --columns needs --json or --csv.", file=sys.stderr)
        return 2
    try:
        remote = Remote(options.server_url, options.token, SILENCE)
    except ValueError as error:
        print(f"logcollector query: {error}", file=sys.stderr)
        return 2
    parameters = [*asked(options), ("format", "csv" if options.csv else "ndjson")]
    parameters += [(name, value) for name in ("limit", "columns") if (value := getattr(options, name)) is not None]
    try:
        with remote.answer("/logs/export", parameters) as response:
            _print(response, options)
    except RefusedError as error:
        print(f"logcollector query: {plain(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = plain(str(error)) or type(error).__name__
        print(f"logcollector query: {remote.name} did not answer to the end ({reason}).", file=sys.stderr)
        return 1
    return 0


def _print(response: http.client.HTTPResponse, options: argparse.Namespace) -> None:
    if options.csv:
        sys.stdout.flush()
        while piece := response.read(_PIECE):
            # As it is: CSV has line ends of its own.
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    show = shown(as_json=options.json, traces=options.traces)
    rest = b""
    # Not line by line: http.client takes an answer that breaks off for one that ends.
    while piece := response.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            show(json.loads(line))
