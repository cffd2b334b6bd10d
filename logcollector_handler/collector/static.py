"""Serves the files of the page: only those named here, never another file on the disk.

`model.js` is not a file: it is made here, so that the page has no copy of the names that it shares with the handler.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from starlette.responses import Response

from logcollector_handler.entry.model import LEVELS

from .query import IDS
from .tree import NAMED

PAGE_PATH: Final = "/page/"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_SCRIPTS: Final = (
    *("api", "around", "columns", "dom", "empty", "entry", "export", "feed", "fields", "groups", "help", "histogram"),
    *("keyboard", "list", "login", "main", "menus", "model", "period", "progress", "quote", "request", "search"),
    *("state", "theme", "times", "trace", "tree", "valuemenu"),
)
NAMES: Final = frozenset(
    {"index.html", "style.css", "entry.css", "phone.css", "icon.svg"} | {f"{name}.js" for name in _SCRIPTS}
)
# A log may contain anything, also HTML and scripts. The browser runs only the page's own files, and refuses to make
# HTML of text.
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
    "vary": "accept",
}


def page_file(name: str) -> Response:
    """An answer with the file `name`, one of NAMES."""
    return Response(_content(name), headers={**_HEADERS, "content-type": _TYPES[name.rpartition(".")[2]]})


@cache
def _content(name: str) -> bytes:
    if name == "model.js":
        shared: dict[str, tuple[str, ...]] = {"LEVELS": LEVELS, "IDS": IDS, "FIELDS": NAMED}
        return b"".join(
            b"export const %b = %b;\n" % (each.encode(), msgspec.json.encode(values)) for each, values in shared.items()
        )
    return (files(__package__) / "page" / name).read_bytes()
