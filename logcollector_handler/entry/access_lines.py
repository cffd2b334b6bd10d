"""The access lines of web servers as fields: `path` without its query, `method`, `status`, client, duration.

Servers give their line a template and the parts of it, so the parts are read, and the line stays as it is. A reader is
given the record of a server's logger, and may raise when the application has made something else of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

Reader = Callable[[logging.LogRecord], dict[str, Any]]

#: `GET /orders?page=2 HTTP/1.1`, with the colours that werkzeug may put around it.
_REQUEST_LINE: Final = re.compile(r"(?:\x1b\[\d+m)*([A-Z]+) (\S+) HTTP/[\d.]+(?:\x1b\[\d+m)*")


def _uvicorn(record: logging.LogRecord) -> dict[str, Any]:
    args: Any = record.args
    client, method, path, _, status = args
    return {
        "method": method,
        "path": unquote(_path(path)),
        "status": _number(status),
        "client_address": _without_port(client),
    }


def _gunicorn(record: logging.LogRecord) -> dict[str, Any]:
    fields = _apache(record)
    # WSGI servers decode the bytes of the path as Latin-1 (PEP 3333); they are UTF-8.
    fields["path"] = fields["path"].encode("latin-1", "replace").decode("utf-8", "replace")
    return fields


def _hypercorn(record: logging.LogRecord) -> dict[str, Any]:
    fields = _apache(record)
    return {**fields, "client_address": _without_port(fields["client_address"])}


def _apache(record: logging.LogRecord) -> dict[str, Any]:
    """Of a dict with the single letters by which Apache names the parts of its line."""
    atoms: Any = record.args
    return {
        "method": atoms["m"],
        "path": _path(atoms["U"]),
        "status": _number(atoms["s"]),
        "client_address": atoms["h"],
        "duration_ms": int(atoms["D"]) / 1000,
    }


def _granian(record: logging.LogRecord) -> dict[str, Any]:
    atoms: Any = record.args
    return {
        "method": atoms["method"],
        "path": _path(atoms["path"]),
        "status": _number(atoms["status"]),
        "client_address": atoms["addr"],
        "duration_ms": float(atoms["dt_ms"]),
    }


def _werkzeug(record: logging.LogRecord) -> dict[str, Any]:
    fields = _of_request_line(record)
    address, dashes, _ = str(record.msg).partition(" - - [")
    return {**fields, "client_address": address if dashes and fields else None}


def _django_server(record: logging.LogRecord) -> dict[str, Any]:
    # `request` is the socket of the connection.
    peer = getattr(getattr(record, "request", None), "getpeername", None)
    fields = _of_request_line(record)
    return {**fields, "client_address": peer()[0]} if fields and peer is not None else fields


def _django_request(record: logging.LogRecord) -> dict[str, Any]:
    request: Any = record.__dict__["request"]
    return {
        "method": request.method,
        "path": request.path,
        "status": record.__dict__["status_code"],
    }


def _of_request_line(record: logging.LogRecord) -> dict[str, Any]:
    """Of the template `"%s" %s %s`: the line of the request, status and size."""
    args: Any = record.args
    match = _REQUEST_LINE.fullmatch(args[0])
    return {} if match is None else {"method": match[1], "path": unquote(_path(match[2])), "status": _number(args[1])}


def _path(target: str) -> str:
    return target.partition("?")[0]


def _number(status: Any) -> int | None:
    text = str(status)
    return int(text) if text.isdecimal() else None


def _without_port(address: str) -> str | None:
    """`10.0.0.1:5000`, or `::1:5000`, in which uvicorn puts no brackets."""
    return address.rpartition(":")[0].strip("[]") or None


READERS: Final[Mapping[str, Reader]] = {
    "uvicorn.access": _uvicorn,
    "gunicorn.access": _gunicorn,
    "hypercorn.access": _hypercorn,
    "granian.access": _granian,
    "werkzeug": _werkzeug,
    "django.server": _django_server,
    "django.request": _django_request,
}
