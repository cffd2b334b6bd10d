"""What must not be shown: fields that hold secrets, by their names, and texts that are known to hold one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: What stands in the place of a masked value.
MASK: Final = "***"

#: Names of fields whose values are masked by default. Upper and lower case, `_`, `-` and spaces make no difference.
DEFAULT_REDACT: Final = (
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "client_secret",
    "secret_key",
    "private_key",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "csrf_token",
    "api_key",
    "x_api_key",
    "authorization",
    "proxy_authorization",
    "cookie",
    "set_cookie",
    "credit_card",
    "card_number",
    "cvv",
)

_IGNORED = str.maketrans("", "", "_- ")


class Redactor:
    """Answers whether a field's value must be masked, by the field's name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_plain(name) for name in names)

    def __call__(self, name: str) -> bool:
        return _plain(name) in self._names


class Hidden(str):
    """A text with a secret in it: used it is the text, but its `repr` and what is logged of it are `shown` instead.

    So a traceback with its variables, a dict of settings or a dataclass that holds one shows nothing of it.
    """

    shown: str

    def __new__(cls, text: str, shown: str = MASK) -> Hidden:
        """Hide a text, and show the other one."""
        self = super().__new__(cls, text)
        self.shown = shown
        return self

    def __repr__(self) -> str:
        return repr(self.shown)


def _plain(name: str) -> str:
    return name.casefold().translate(_IGNORED)
