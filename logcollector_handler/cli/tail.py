"""`logcollector tail`: prints the logs of a collector as they arrive."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from logcollector_handler.settings.secret import without_secrets

#: Seconds without data after which the connection counts as dead: the server sends a heartbeat every ten.
SILENCE: Final = 25.0
#: Seconds between two attempts to connect: at first, and at most.
PAUSES: Final = (0.2, 3.0)

_FILTERS: Final = ("service", "environment", "logger", "trace_id", "user_id", "session_id", "text")
_COLOURS: Final = {"TRACE": "2", "DEBUG": "2", "INFO": "36", "WARN": "33", "ERROR": "31", "FATAL": "1;35"}
#: Control characters: printed as they are, a log could move the cursor, change the title, or look like another line.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _RefusedError(Exception):
    """The server refused the request and would refuse it again, so it is not repeated."""


def run(options: argparse.Namespace) -> int:
    """Print logs until interrupted. Returns 1 if the server refuses the request, 2 if the URL is wrong."""
    if not _is_url(options.server_url):
        print(
            f"logcollector tail: {without_secrets(options.server_url)!r} is not a URL of a server, as "
            "http://localhost:8000.",
            file=sys.stderr,
        )
        return 2
    show = _Json() if options.json else _Lines(traces=options.traces, colours=_wants_colours(os.environ))
    follower = _Follower(options)
    try:
        for entry in follower.entries():
            show(entry)
    except _RefusedError as error:
        print(f"logcollector tail: {_plain(str(error))}", file=sys.stderr)
        return 1
    raise AssertionError("it follows without end")


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        _ = url.port  # Raises for a port that is not a number, and quotes it: perhaps a part of a password.
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)


def _wants_colours(environment: Mapping[str, str]) -> bool:
    return sys.stdout.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


class _Follower:
    """Reads the stream and reconnects when the connection breaks, continuing after the last entry that was shown."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._url = urlsplit(options.server_url.rstrip("/"))
        #: As it may be printed: without the name and the password, and without the query, in which a key may stand.
        self._server = self._url._replace(netloc=self._url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
        asked = {name: getattr(options, name) for name in _FILTERS}
        asked["min_level"] = options.level
        self._parameters = {name: value for name, value in asked.items() if value}
        self._last = options.last
        #: The id after which the next connection continues; None until the server has sent the first one.
        self._position: str | None = None
        #: Whether the server is away and that has been printed.
        self._away = False

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, without end. Raises _RefusedError."""
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
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        assert self._url.hostname is not None  # noqa: S101 - `run` looked
        with closing(kind(self._url.hostname, self._url.port, timeout=SILENCE)) as connection:
            headers, parameters = dict(self._headers), dict(self._parameters)
            if self._position is not None:
                headers["Last-Event-ID"] = self._position
            elif self._last:
                parameters["last"] = self._last
            connection.request("GET", f"{self._url.path}/logs/stream?{urlencode(parameters)}", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                self._refused(response)
            yield from self._events(response)

    def _refused(self, response: http.client.HTTPResponse) -> None:
        reason = _reason(response.read(10_000))
        if response.status in (408, 429) or response.status >= 500:
            raise ConnectionError(f"it answers {response.status}" + (f": {reason}" if reason else ""))
        raise _RefusedError(f"{self._server}: {reason or f'it answers {response.status}; is that a collector?'}")

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
                raise ConnectionError(_reason(fields.get("data", "")) or "it failed")
            if "data" in fields and "event" not in fields:
                yield json.loads(fields["data"])
            # After the yield, when the entry has been shown.
            self._position = fields.get("id", self._position)
            fields = {}
        raise ConnectionError("the connection was closed")

    def _lost(self, error: Exception) -> None:
        if not self._away:
            reason = _plain(str(error)) or type(error).__name__
            print(f"logcollector tail: {self._server} cannot be reached ({reason}); retrying.", file=sys.stderr)
        self._away = True


def _reason(text: str | bytes) -> str | None:
    """The reason in an answer, or in the event that ends a stream; None if that has none."""
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return None


class _Json:
    """Prints each entry as one line of JSON, as it is stored."""

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Print an entry."""
        print(json.dumps(entry, separators=(",", ":")))


class _Lines:
    """Prints each entry for people to read."""

    def __init__(self, *, traces: bool, colours: bool) -> None:
        self._traces = traces
        self._colours = colours

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Print an entry."""
        level = entry["level"]
        moment = time.strftime("%H:%M:%S", time.localtime(entry["created_at"])) + f"{entry['created_at'] % 1:.3f}"[1:5]
        names = (entry.get("service"), entry.get("metadata", {}).get("logger"))
        source = " ".join(_plain(str(name)) for name in names if name)
        took = f"  ({entry['duration_ms']:g} ms)" if "duration_ms" in entry else ""
        message = _plain(entry["message"]).replace("\n", "\n    ")
        print(
            self._paint("2", moment),
            self._paint(_COLOURS[level], f"{level:<5}"),
            self._paint("2", source),
            message + took,
        )
        lines = _plain(entry.get("stack_trace", "")).strip("\n").splitlines()
        if self._traces:
            for line in lines:
                print("    " + self._paint("31" if not line.startswith((" ", "Traceback")) else "2", line))
        elif lines:
            folded = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
            print("    " + self._paint("31", lines[-1]) + self._paint("2", folded))

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text


def _plain(text: str) -> str:
    return _CONTROLS.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}",
        text.replace("\r\n", "\n"),
    )
