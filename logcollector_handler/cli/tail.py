"""`logcollector tail`: prints the logs of a collector as they arrive."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from .entries import plain, shown
from .remote import RefusedError, Remote, asked, reason_in

#: Seconds without data after which the connection counts as dead: the server sends a heartbeat every ten.
SILENCE: Final = 25.0
#: Seconds between two attempts to connect: at first, and at most.
PAUSES: Final = (0.2, 3.0)


def run(options: argparse.Namespace) -> int:
    """Print logs until interrupted. Returns 1 if the server refuses the request, 2 if the URL is wrong."""
    try:
        follower = _Follower(options)
    except ValueError as error:
        print(f"logcollector tail: {error}", file=sys.stderr)
        return 2
    show = shown(as_json=options.json, traces=options.traces)
    try:
        for entry in follower.entries():
            show(entry)
    except RefusedError as error:
        print(f"logcollector tail: {plain(str(error))}", file=sys.stderr)
        return 1
    raise AssertionError("it follows without end")


class _Follower:
    """Reads the stream and reconnects when the connection breaks, continuing after the last entry that was shown."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._remote = Remote(options.server_url, options.token, SILENCE)
        self._parameters = asked(options)
        # With a time to begin at, all since then; else a few lines to begin with.
        self._last = options.last if options.last is not None else "all" if options.since else 10
        #: The id after which the next connection continues; None until the server has sent the first one.
        self._position: str | None = None
        #: Whether the server is away and that has been printed.
        self._away = False

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, without end. Raises RefusedError."""
        pause = PAUSES[0]
        while True:
            try:
                for entry in self._connection():
                    pause = PAUSES[0]
                    yield entry
            except (OSError, http.client.HTTPException) as error:
                self._lost(error)
            time.sleep(pause)
            pause = min(pause * 2, PAUSES[1])

    def _connection(self) -> Iterator[dict[str, Any]]:
        headers, parameters = {}, list(self._parameters)
        if self._position is not None:
            headers["Last-Event-ID"] = self._position
        else:
            parameters.append(("last", str(self._last)))
        with self._remote.answer("/logs/stream", parameters, headers) as response:
            yield from self._events(response)

    def _events(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        fields: dict[str, str] = {}
        for raw in response:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            # An empty line ends an event. An event that was cut off is ignored; the next connection sends it again.
            if self._away and "event" in fields:
                self._away = False
                print("logcollector tail: connected again.", file=sys.stderr)
            if fields.get("event") == "error":
                raise ConnectionError(reason_in(fields.get("data", "")) or "it failed")
            if "data" in fields and "event" not in fields:
                yield json.loads(fields["data"])
            # After the yield, when the entry has been shown.
            self._position = fields.get("id", self._position)
            fields = {}
        raise ConnectionError("the connection was closed")

    def _lost(self, error: Exception) -> None:
        if not self._away:
            reason = plain(str(error)) or type(error).__name__
            print(f"logcollector tail: {self._remote.name} cannot be reached ({reason}); retrying.", file=sys.stderr)
        self._away = True
