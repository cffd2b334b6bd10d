"""The kinds of values that must not be shown, or not all of them: keys, values of headers, passwords in URLs.

`masked` finds them in a text however a server may have written them there.
"""

from __future__ import annotations

import binascii
import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK, Hidden, Redactor
from logcollector_handler.wire.format import BATCH_ID

from .kinds import Kind, NotAllowedError, from_json

#: Texts shorter than this occur in many others: masking them would spoil the message and hide no secret.
_SECRET_FROM: Final = 4
#: What RFC 9110 calls a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: The value of an Authorization header: a scheme, and the credentials.
_CREDENTIALS: Final = re.compile(r"(?:basic|bearer|token|api-?key)\s+(\S+)", re.IGNORECASE)
#: What keys in a URL look like: long, with a digit, of letters, digits and the signs of Base64.
_KEY: Final = re.compile(r"(?=.*\d)[\w+/=.~-]{16,}", re.ASCII)
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
        return Hidden(given)

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
        return MappingProxyType({name: Hidden(value) for name, value in given.items()})

    def refused(self, value: object) -> NotAllowedError:
        entries = value.items() if isinstance(value, Mapping) else ()
        at = next((f"[{name!r}]" for name, text in entries if not isinstance(text, str)), "")
        return NotAllowedError(MASK, self.allowed, at)

    def parse(self, text: str) -> object:
        return from_json(text, MASK, "a JSON object")

    def hide(self, value: Mapping[str, str]) -> object:
        return dict.fromkeys(value, MASK)

    def secrets(self, value: Mapping[str, str]) -> dict[str, str]:
        found = [*value.values()]
        for credentials in filter(None, map(_CREDENTIALS.fullmatch, value.values())):
            found += [credentials[1], credentials[1].rstrip("="), *_decoded(credentials[1])]
        return {each: MASK for each in found if len(each) >= _SECRET_FROM}


class Url(Kind[str, str]):
    """A URL of http or https, without a query. A password in it is never shown."""

    type = str
    allowed = "a URL like http://host:port"
    may_have_query = False

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
        if "#" in given or ("?" in given and not self.may_have_query):
            without = "#" if self.may_have_query else "? and #"
            raise NotAllowedError(without_secrets(given), f"{self.allowed}, without {without}")
        return self.held(f"{parts.scheme}{given[len(parts.scheme) :]}")

    def held(self, url: str) -> str:
        """An allowed URL as it is kept."""
        url = url.rstrip("/")
        shown = _with_password_hidden(url)
        return url if shown == url else Hidden(url, shown)

    def refused(self, value: object) -> NotAllowedError:
        # Bytes or a list may hold a password too.
        return NotAllowedError(without_secrets(value) if isinstance(value, str) else MASK, self.allowed)

    def hide(self, value: str | None) -> object:
        return value.shown if isinstance(value, Hidden) else value

    def secrets(self, value: str | None) -> dict[str, str]:
        parts = urlsplit(value or "")
        if not parts.password:
            return {}
        found = {f":{parts.password}@": f":{MASK}@"}
        user, password = unquote(parts.username or ""), unquote(parts.password)
        # As it stands in the header by which it is sent.
        sent = _base64(f"{user}:{password}")
        found |= {sent: MASK, sent.rstrip("="): MASK}
        return {**found, **{each: MASK for each in (parts.password, password) if len(each) >= _SECRET_FROM}}


class ServerUrl(Url):
    """The URL of the server. It may have a query, which is never shown; the setting `wire` may forbid that.

    Where a server or an error quotes the query, it is masked as a whole, and so are values in it that are secret by
    their names or that look like keys. The others are not: without the name of its table, say, an error is of no use.
    """

    may_have_query = True

    def held(self, url: str) -> str:
        if BATCH_ID in urlsplit(url).netloc:
            raise NotAllowedError(without_secrets(url), f"{self.allowed}, with {BATCH_ID} behind the host only")
        path, mark, _ = url.partition("?")
        shown = _with_password_hidden(path) + (mark and f"?{MASK}")
        return url if shown == url else Hidden(url, shown)

    def secrets(self, value: str | None) -> dict[str, str]:
        query = (value or "").partition("?")[2]
        if not query:
            return super().secrets(value)
        found = _pieces(query)
        for pair in query.split("&"):
            name, _, text = pair.partition("=")
            if text and (_secret_names()(unquote_plus(name)) or _looks_like_a_key(text)):
                found[pair] = f"{name}={MASK}"
                found |= _pieces(text)
        return {**super().secrets(value), **found, **{f"?{form}": f"?{MASK}" for form in _written(query)}}


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """The text with each secret in it replaced by what to show instead.

    It is also found in other cases, and as JSON, URLs, HTML and Python's `repr` write it.
    """
    if not secrets:
        return text
    found, shown = _finder(frozenset(secrets.items()))
    return found.sub(lambda each: shown.get(each[0].lower(), MASK), text)


@functools.lru_cache(maxsize=32)
def _finder(secrets: frozenset[tuple[str, str]]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """A pattern that finds these secrets in every form, and what to show instead by the form in lower case."""
    instead = {form: shown for secret, shown in secrets for form in _forms(secret)}
    # The longest first, because one secret may contain another.
    forms = sorted(instead, key=len, reverse=True)
    found = re.compile("|".join(map(re.escape, forms)), re.IGNORECASE)
    return found, {form.lower(): shown for form, shown in instead.items()}


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as it may be written in an answer or in an error that quotes it."""
    import html  # Both are not needed before something is masked.
    import json

    written = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    written |= {each.replace("\\", "\\\\") for each in written} | {each.replace("/", "\\/") for each in written}
    return written | {quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}


def _base64(text: str) -> str:
    return binascii.b2a_base64(text.encode(), newline=False).decode()


def _decoded(credentials: str) -> list[str]:
    """The user's name with the password, and the password, of the credentials of Basic."""
    try:
        plain = binascii.a2b_base64(credentials).decode()
    except ValueError:
        return []
    return [plain, plain.partition(":")[2]] if ":" in plain else []


def _with_password_hidden(url: str) -> str:
    return url.replace(f":{urlsplit(url).password}@", f":{MASK}@")


@functools.cache
def _secret_names() -> Redactor:
    return Redactor(DEFAULT_REDACT)


def _looks_like_a_key(text: str) -> bool:
    """Whether a value of a query, as it stands there, is as long as keys are and has nothing that they do not have."""
    return bool(_KEY.fullmatch(unquote_plus(text)))


def _pieces(query: str) -> dict[str, str]:
    """What stands around the id of the batch in a query or a part of it, in all forms, each with its mask."""
    pieces = {form for piece in query.split(BATCH_ID) for form in _written(piece)}
    return {piece: MASK for piece in pieces if len(piece) >= _SECRET_FROM}


def _written(query: str) -> set[str]:
    """A query, or a part of it, as people wrote it, as the HTTP client sends it, and as a server reads it."""
    # httpx quotes what is not safe by its list, and leaves alone what is quoted already.
    sent = quote(query, safe="!$%&'()*+,;=:/?@[]~\\^`{|}")
    return {query, sent, unquote(query), unquote_plus(query)}


def without_secrets(given: str) -> str:
    """The text of a URL, or of what should be one, without what may be a password or a key: its user and query."""
    url, *behind = re.split("[?#]", given, maxsplit=1)
    if "@" in "".join(behind):
        # A password with one of these signs in it looks the same as a query with an @.
        return MASK
    shown = f"{MASK}@{url.rpartition('@')[2]}" if "@" in url else url
    return f"{shown}?{MASK}" if behind else shown
