"""The kinds of values that must not be shown, or not all of them: keys, values of headers, passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from logcollector_handler.entry.redact import MASK

from .kinds import Kind, NotAllowedError, from_json

#: Texts shorter than this occur in many others: masking them would spoil the message and hide no secret.
_SECRET_FROM: Final = 4
#: What RFC 9110 calls a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that say how the body is sent, which the handler decides.
_OWN_HEADERS: Final = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "idempotency-key"}
)


class Key(Kind[str, str]):
    """Text that is never shown."""

    type = str
    allowed = "text of printable ASCII characters"

    def read(self, given: str) -> str:
        if not given or not given.isascii() or not given.isprintable():
            raise self.refused(given)
        return given

    def refused(self, value: object) -> NotAllowedError:
        return NotAllowedError(MASK, self.allowed)

    def hide(self, value: str | None) -> object:
        return value and MASK

    def secrets(self, value: str | None) -> dict[str, str]:
        return {value: MASK} if value else {}


class Headers(Kind[Mapping[str, str], Mapping[str, str]]):
    """Headers of a request. Their values are never shown."""

    type = Mapping[str, str]
    allowed = "an object of names and texts, without line ends"

    def read(self, given: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in given.items():
            text = value.isascii() and value.isprintable() and value == value.strip()
            if not text or not _HEADER_NAME.fullmatch(name):
                raise NotAllowedError(MASK, self.allowed, f"[{name!r}]")
            if name.lower() in _OWN_HEADERS:
                raise NotAllowedError(MASK, "any header but those that the handler sets itself", f"[{name!r}]")
        return MappingProxyType(dict(given))

    def refused(self, value: object) -> NotAllowedError:
        entries = value.items() if isinstance(value, Mapping) else ()
        at = next((f"[{name!r}]" for name, text in entries if not isinstance(text, str)), "")
        return NotAllowedError(MASK, self.allowed, at)

    def parse(self, text: str) -> object:
        return from_json(text, MASK, "a JSON object")

    def hide(self, value: Mapping[str, str]) -> object:
        return dict.fromkeys(value, MASK)

    def secrets(self, value: Mapping[str, str]) -> dict[str, str]:
        return {each: MASK for each in value.values() if len(each) >= _SECRET_FROM}


class Url(Kind[str, str]):
    """A URL of http or https. A password in it is never shown."""

    type = str
    allowed = "a URL like http://host:port"

    def read(self, given: str) -> str:
        parts = None
        # urlsplit would silently take line ends out, and blanks around the URL.
        if "".join(given.split()) == given:
            try:
                parts = urlsplit(given)
                _ = parts.port  # Raises for a port that is not a number.
                (parts.hostname or "").encode("idna")  # Raises for what cannot be the name of a host, as `a..b`.
            except ValueError:
                parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.refused(given)
        if parts.query or parts.fragment:
            # A key may stand there.
            shown = f"{re.split('[?#]', _without_user(given))[0]}?{MASK}"
            raise NotAllowedError(shown, f"{self.allowed}, without ? and #")
        return f"{parts.scheme}{given[len(parts.scheme) :]}".rstrip("/")

    def refused(self, value: object) -> NotAllowedError:
        # Bytes or a list may hold a password too.
        return NotAllowedError(_without_user(value) if isinstance(value, str) else MASK, self.allowed)

    def hide(self, value: str | None) -> object:
        password = _password(value)
        return value.replace(f":{password}@", f":{MASK}@") if value and password else value

    def secrets(self, value: str | None) -> dict[str, str]:
        password = _password(value)
        if not password:
            return {}
        in_url = {f":{password}@": f":{MASK}@"}
        return {**in_url, password: MASK} if len(password) >= _SECRET_FROM else in_url


def _password(url: str | None) -> str | None:
    return urlsplit(url).password if url else None


def _without_user(given: str) -> str:
    """The text without what stands before an @, which may be a password, even if the text is not a URL."""
    return f"{MASK}@{given.rpartition('@')[2]}" if "@" in given else given
