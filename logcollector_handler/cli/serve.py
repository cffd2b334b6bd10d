"""`logcollector serve`: runs the embedded collector until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import socket
import sys

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.guard import is_local
from logcollector_handler.collector.origins import origin_of
from logcollector_handler.collector.retention import LEAST_BYTES, Keep
from logcollector_handler.collector.server import run as serve
from logcollector_handler.collector.store import Store, StoreError

#: Minimum of characters in a token: nothing else keeps others out, and nothing limits how often they may guess.
TOKEN_LENGTH = 16
_MIB = 1024 * 1024


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted. Returns 0 then, 1 if file or port cannot be used, 2 if it would not be safe."""
    problem = _unsafe(options.host, options.token) or _too_small(options.max_size)
    if problem:
        print(f"logcollector serve: {problem}", file=sys.stderr)
        return 2
    try:
        origins = frozenset(map(origin_of, options.allow_origin))
    except ValueError as error:
        print(f"logcollector serve: --allow-origin: {error}", file=sys.stderr)
        return 2
    try:
        store = Store(options.database)
    except StoreError as error:
        print(f"logcollector serve: {error}", file=sys.stderr)
        return 1
    keep = Keep(options.keep_days, None if options.max_size is None else int(options.max_size * _MIB))
    with contextlib.closing(store):
        try:
            token = options.token or None
            serve(
                create_app(store, token=token, local_only=token is None, origins=origins, keep=keep),
                options.host,
                options.port,
                started=lambda url: _tell(url, options),
            )
        except OSError as error:
            print(f"logcollector serve: {_not_listening(error, options.host, options.port)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print()  # Ends the line in which the terminal shows ^C.
    return 0


def _not_listening(error: OSError, host: str, port: int) -> str:
    """Why it cannot listen there, and what to do."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine ({error.strerror}). Name another with --host."
    # The system's text alone: Python's adds the address, which the message has already.
    reason = os.strerror(error.errno) if error.errno else error
    return f"port {port} cannot be used ({reason}). Name another with --port, or 0 for a free one."


def _tell(url: str, options: argparse.Namespace) -> None:
    print(f"Collecting logs at {url} into {options.database}. Ctrl-C ends it.")
    print(f"See them at {url}/" + (" with the token." if options.token else "."))


def _too_small(max_size: float | None) -> str | None:
    """Why logs cannot be kept in so many MiB; None if they can."""
    if max_size is None or max_size * _MIB >= LEAST_BYTES:
        return None
    return (
        f"--max-size {max_size:g} is too small: one batch may need {LEAST_BYTES // _MIB} MiB, and would be removed as "
        "soon as it is stored."
    )


def _unsafe(host: str, token: str | None) -> str | None:
    """Why it must not be served at this host with this token; None if it may."""
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
            "and none a space. To make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return None
