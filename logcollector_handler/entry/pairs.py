"""Finds the values of secrets in text that holds names and values: URLs, queries, forms, JSON, and what `repr` prints.

    /reset?user=5&token=abc             /reset?user=5&token=***
    postgres://shop:hunter2@db/shop     postgres://shop:***@db/shop
    Login(user='u', password='abc')     Login(user='u', password='***')
    {"user": "u", "password": "abc"}    {"user": "u", "password": "***"}
    psql --password abc --user u        psql --password *** --user u
    [('Authorization', 'Bearer abc')]   [('Authorization', '***')]
    Cookie: a=1; b=2                    Cookie: ***

The time that it takes grows with the length of the text, and not faster: a sign between a name and a value is looked
for first, then at most 100 characters before it are taken for the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final
from urllib.parse import unquote

from .secret_names import IN_QUERIES

#: What stands between a name and its value: `=`, `:`, their forms in a URL inside of a query, or the comma of a pair.
#: With it the quote behind the name, which is escaped in JSON inside of JSON.
_BETWEEN: Final = re.compile(r"""\\{0,8}["']?\s{0,2}(?:=|:|%(?:25)?3[ADad])\s{0,2}|["'],\s?(?=[bB]?["'])""")
#: Signs that a name can hold beside letters and digits, in URLs, forms and command lines.
_IN_NAMES: Final = frozenset("_.-[]%$+")
_NAME_ROOM: Final = 100

#: A value in quotes, and one in brackets or in those of a call; the end may have been cut off.
_QUOTED: Final = r"""
    [bBuUrRfF]{0,2} (?: "[^"\\]*(?:\\.[^"\\]*)*"? | '[^'\\]*(?:\\.[^'\\]*)*'? )
    | (?P<quote>\\+["'])(?:(?!(?P=quote)).)*(?P=quote)?
"""
_BRACKETED: Final = r"""\[[^\]]*\]? | \{[^}]*\}? | \([^)]*\)? | [A-Za-z_][\w.]*\([^)]*\)?"""


@cache
def _value(bare: str) -> re.Pattern[str]:
    """A value that is closed, or without quotes as `bare` says. What directly follows brackets belongs to it, too.

    Compiled when it is first needed, because most processes never need it, and each takes half a millisecond.
    """
    pattern = rf"{_QUOTED} | (?: {_BRACKETED} ) (?P<rest>{bare})? | (?P<bare>{bare})"
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


#: By the last sign of what stands before a value. `token=abc&…`, in a URL or behind the name of an argument:
_OF_QUERY: Final = r"""(?:(?:Basic|Bearer|Digest|Token)\s)? [^\s&;\#"'<>]+"""
#: `token%3Dabc%26…`, a query inside of a query:
_OF_INNER_QUERY: Final = r"""(?:[^\s&;\#"'<>%]|%(?!(?:25)?26))+"""
#: `"token": 12, …`, an object:
_OF_OBJECT: Final = r"[^,}\])\r\n]+"
#: `Authorization: Digest a, b`, a line of headers:
_OF_LINE: Final = r"[^\r\n]+"
#: What may close what is around a value without quotes.
_CLOSING: Final = ")]},>"

_USER: Final = re.compile(r"""(?:(?<=http)|(?<=https))://[^\s/:@?#"'<>]+@""")
#: An option of a command, and its value behind a space.
_OPTION: Final = re.compile(r"""((?<!\S)--[\w-]{1,60}[ \t]{1,4})(?!-)("[^"]*"?|'[^']*'?|\S+)""")
#: `://user:password@`
PASSWORD_IN_URL: Final = re.compile(r"""://([^\s/:@?#\[]*):(?!\d+(?:[/?#\s]|$))(?:[^\s/?#"'<>]*@|[^\s"'<>]{0,60}?@)""")


def masked_pairs(text: str, secret: Callable[[str], bool], mask: str) -> str:
    """The text with the values of secrets replaced by the mask. `secret` tells the names."""
    if not ("=" in text or "," in text or "--" in text or "%" in text or "@" in text or ":" in text.replace("://", "")):
        # Most URLs have nothing between a name and a value.
        return text
    if "://" in text and "@" in text and secret("password"):
        text = _USER.sub(f"://{mask}@", PASSWORD_IN_URL.sub(rf"://\1:{mask}@", text))
    if "--" in text:
        text = _OPTION.sub(lambda option: option[1] + mask if secret(option[1]) else option[0], text)
    done = before = 0
    made = []
    for between in _BETWEEN.finditer(text):
        start, end = between.span()
        # A name begins behind what stood before the last value, so that no part of the text is read twice.
        if start >= done and _is_secret(text, max(before, start - _NAME_ROOM), between, secret):
            value = _value(_kind(between[0])).match(text, end)
            if value is not None and value[0]:
                made += [text[done:end], _masked(value, mask)]
                done = value.end()
        before = end
    return "".join([*made, text[done:]]) if made else text


def _is_secret(text: str, first: int, between: re.Match[str], secret: Callable[[str], bool]) -> bool:
    """Whether the name before this, which begins at `first` or later, is that of a secret."""
    end = start = between.start()
    while start > first and ((before := text[start - 1]).isalnum() or before in _IN_NAMES):
        start -= 1
    if start == end:
        return False
    name = unquote(text[start:end])
    if secret(name):
        return True
    # `?key=abc`, in a query or at its beginning.
    before, _, last = name.replace("&", "?").rpartition("?")
    in_query = before or text[max(0, start - 1) : start] in ("", "?", "&")
    return bool(in_query) and between[0][-1] != ":" and last.casefold() in IN_QUERIES and secret("token")


def _kind(between: str) -> str:
    """What a value without quotes is, by what stands before it."""
    if between[0] in "\\\"'":
        return _OF_OBJECT
    if "%" in between:
        return _OF_INNER_QUERY
    return _OF_QUERY if "=" in between else _OF_LINE


def _masked(value: re.Match[str], mask: str) -> str:
    """The mask, in the quotes that the value has, and with what closes what is around a bare value."""
    bare = value["bare"] or value["rest"]
    if bare:
        return mask + bare[len(bare.rstrip(_CLOSING)) :]
    quote = value["quote"] or value[0].lstrip("bBuUrRfF")[:1]
    return f"{quote}{mask}{quote}" if quote[-1] in "'\"" else mask
