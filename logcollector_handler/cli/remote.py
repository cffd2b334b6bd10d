"""Requests to a collector for the logs that filters on the command line ask for."""

from __future__ import annotations

import argparse
import http.client
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from logcollector_handler.settings.secret import without_secrets

#: Options that are parameters of the same name.
_FILTERS: Final = ("service", "environment", "logger", "trace_id", "user_id", "session_id", "text", "since", "until")
#: How a date begins; a number without dashes is Unix seconds.
_DATE: Final = re.compile(r"\s*[0-9]{4}-")


class RefusedError(Exception):
    """The server refused the request and would refuse it again, so it is not repeated."""


def asked(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The parameters for the filters that were given."""
    given = {name: getattr(options, name, None) for name in _FILTERS}
    given |= {"min_level": options.level, "q": " ".join(options.query)}
    given |= {name: _in_seconds(time) for name in ("since", "until") if (time := given[name])}
    several = ((name, value if isinstance(value, list) else [value]) for name, value in given.items() if value)
    return [(name, value) for name, values in several for value in values]


def _in_seconds(time: str) -> str:
    """A date without a zone, which is that of this machine, as Unix seconds: the server may be in another one."""
    if _DATE.match(time):
        # Anything else is for the server to read, or to refuse.
        with suppress(ValueError, OverflowError, OSError):
            date = datetime.fromisoformat(time)
            return time if date.tzinfo is not None else str(date.timestamp())
    return time


class Remote:
    """A collector at a URL; `timeout` is the number of seconds without data after which it counts as dead.

    Raises ValueError if that is not the URL of a server.
    """

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        if not _is_url(url):
            raise ValueError(f"{without_secrets(url)!r} is not a URL of a server, as http://localhost:8000.")
        self._url = urlsplit(url.rstrip("/"))
        #: As it may be printed: without the name and the password, and without the query, in which a key may stand.
        self.name: str = self._url._replace(netloc=self._url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout

    @contextmanager
    def answer(
        self, path: str, parameters: Sequence[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET. Raises RefusedError, and OSError or HTTPException if the server is away."""
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        assert self._url.hostname is not None  # noqa: S101 - `_is_url` looked
        with closing(kind(self._url.hostname, self._url.port, timeout=self._timeout)) as connection:
            url = f"{self._url.path}{path}?{urlencode(parameters)}"
            try:
                connection.request("GET", url, headers={**self._headers, **(headers or {})})
            except BrokenPipeError as error:
                # For the command line this error says that nobody reads what it prints.
                raise ConnectionError("the connection was closed") from error
            response = connection.getresponse()
            if response.status != 200:
                self._refused(response)
            yield response

    def _refused(self, response: http.client.HTTPResponse) -> None:
        reason = reason_in(response.read(10_000))
        if response.status in (408, 429) or response.status >= 500:
            raise ConnectionError(f"it answers {response.status}" + (f": {reason}" if reason else ""))
        raise RefusedError(f"{self.name}: {reason or f'it answers {response.status}; is that a collector?'}")


def reason_in(text: str | bytes) -> str | None:
    """The reason in an answer, or in the event that ends a stream; None if that has none."""
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return None


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        _ = url.port  # Raises for a port that is not a number, and quotes it: perhaps a part of a password.
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)
