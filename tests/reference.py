"""Finds what leads nowhere in the reference that pdoc makes: links, and names of the package. pdoc finds neither.

`python reference.py DIRECTORY` prints them, and fails if there are any.
"""

from __future__ import annotations

import pkgutil
import posixpath
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_NAME: Final = re.compile(r"logcollector_handler(\.\w+)+")


class Page(HTMLParser):
    """A page of the reference: the places in it, where its links lead, and the code in its sentences."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.code: set[str] = set()
        self._is_code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_code = tag == "code" or (self._is_code and tag == "a")
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name == "href" and tag == "a":
                self.links.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False

    def handle_data(self, data: str) -> None:
        if self._is_code:
            self.code.add(data)


def dead(directory: Path) -> list[str]:
    """A line for each link and each name of the package, on any page in a directory, that leads nowhere."""
    pages = {
        path.relative_to(directory).as_posix(): Page(path.read_text("utf-8")) for path in directory.rglob("*.html")
    }
    found = []
    for name, page in sorted(pages.items()):
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path)) if parts.path else name
            if target not in pages:
                found.append(f"{name}: no page for the link {link}")
            elif parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{name}: no place for the link {link}")
        for code in sorted(page.code):
            found += [f"{name}: no {each[0]}" for each in _NAME.finditer(code) if not is_there(each[0])]
    return found


def is_there(name: str) -> bool:
    """Whether a dotted name is that of a module, or of something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


if __name__ == "__main__":
    made = Path(sys.argv[1])
    lines = dead(made) if any(made.rglob("*.html")) else [f"{made} has no pages"]
    sys.exit("\n".join(lines) or 0)
