"""`logcollector serve`: the embedded collector on a port of this machine, until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.guard import is_local
from logcollector_handler.collector.retention import Keep
from logcollector_handler.collector.server import run as serve
from logcollector_handler.collector.store import Store, StoreError

#: Characters that a token has at least: it is all that keeps others out, and may be tried as often as one likes.
TOKEN_LENGTH = 16
_MIB = 1024 * 1024


def run(options: argparse.Namespace) -> int:
    """Serve; 0 when interrupted, 1 when that cannot be done, 2 when it would not be safe."""
    problem = _unsafe(options.host, options.token)
    if problem:
        print(f"logcollector serve: {problem}", file=sys.stderr)
        return 2
    try:
        store = Store(options.database)
    except StoreError as error:
        print(f"logcollector serve: {error}", file=sys.stderr)
        return 1
    keep = Keep(options.keep_days, None if options.max_size is None else int(options.max_size * _MIB))
    with contextlib.closing(store):
        try:
            serve(
                create_app(store, token=options.token or None, local_only=not options.token, keep=keep),
                options.host,
                options.port,
                started=lambda url: _tell(url, options),
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


def _tell(url: str, options: argparse.Namespace) -> None:
    print(f"Collecting logs at {url} into {options.database}. Ctrl-C ends it.")
    print(f"See them at {url}/" + (" with the token." if options.token else "."))


def _unsafe(host: str, token: str | None) -> str | None:
    """Why it may not be served like that, if there is a reason."""
    if not token:
        if is_local(host):
            return None
        return (
            f"on {host} others can reach it, so it needs a token: --token, or LOGCOLLECTOR_API_KEY. "
            "Handlers send it as their api_key."
        )
    if len(token) < TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        return (
            f"the token (--token, or LOGCOLLECTOR_API_KEY) needs {TOKEN_LENGTH} characters or more, all of them ASCII "
            "and none a space. One that is good: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return None
