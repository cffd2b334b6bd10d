"""The settings of a handler: names, defaults, what is allowed, and where a value comes from.

An argument wins over the environment, the environment over the default. A wrong value fails here, when the
handler is made, with a message that names the setting, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from .entry.model import ENVIRONMENT_ALIASES, ENVIRONMENTS, LOG_TYPES, TEXT_LIMITS
from .entry.redact import DEFAULT_REDACT, MASK

PREFIX: Final = "LOGCOLLECTOR_"
OVERFLOWS: Final = ("drop_oldest", "drop_newest", "block")
DURABILITIES: Final = ("batch", "record")
MIB: Final = 1024 * 1024
#: Characters that a secret has at least.
_SECRET_FROM: Final = 4
#: Seconds; nothing that is waited for takes longer than a day.
_LONGEST: Final = 86_400
#: What RFC 9110 calls a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that say how the body is sent, which the handler decides.
_OWN_HEADERS: Final = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "idempotency-key"}
)


class SettingError(ValueError):
    """A setting has a value that it cannot have. Out of `dictConfig` it comes as the cause of a ValueError."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one handler; see the README's table for what each does and its unit.

    `repr` shows neither the key, nor headers, nor passwords in URLs.
    """

    server_url: str = "http://localhost:8000"
    service: str | None = None
    environment: str = "development"
    service_version: str = "v0.0.0-dev"
    log_type: str = "BACKEND"
    batch_size: int = 1000
    flush_interval: float = 1.0
    flush_level: int = logging.ERROR
    max_queue_size: int = 10_000
    overflow: str = "drop_oldest"
    enable_compression: bool = True
    max_retries: int = 3
    timeout: float = 5.0
    max_batch_bytes: int = 4 * MIB
    max_record_bytes: int = 256 * 1024
    max_buffer_bytes: int = 64 * MIB
    shutdown_timeout: float = 5.0
    api_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    verify: bool | str = True
    proxy: str | None = None
    spool_dir: str | None = None
    durability: str = "batch"
    fsync: bool = False
    max_spool_bytes: int = 1024 * MIB
    redact: tuple[str, ...] = DEFAULT_REDACT

    def __post_init__(self) -> None:
        if self.max_record_bytes > self.max_batch_bytes:
            raise _error("max_record_bytes", self.max_record_bytes, f"max_batch_bytes ({self.max_batch_bytes}) at most")
        if self.durability == "record" and self.spool_dir is None:
            raise _error("durability", self.durability, "batch, unless spool_dir is set")
        if self.fsync and self.spool_dir is None:
            raise _error("fsync", self.fsync, "false, unless spool_dir is set")
        if self.api_key is not None and urlsplit(self.server_url).username:
            raise _error("api_key", MASK, "none with a user name in server_url, for a request has one Authorization")
        if self.max_batch_bytes > self.max_buffer_bytes:
            raise _error("max_batch_bytes", self.max_batch_bytes, f"max_buffer_bytes ({self.max_buffer_bytes}) at most")

    def mask(self, text: str) -> str:
        """The text with what is secret in these settings replaced by asterisks."""
        passwords = [urlsplit(url).password or "" for url in (self.server_url, self.proxy) if url]
        for password in filter(None, passwords):
            text = text.replace(f":{password}@", f":{MASK}@")
        # One of a few letters is found in every text, and is no secret; a key always is.
        secrets = {each for each in (*self.headers.values(), *passwords) if len(each) >= _SECRET_FROM}
        secrets |= {self.api_key} if self.api_key else set()
        # The longest first, for one may hold another.
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def __repr__(self) -> str:
        shown = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.name == "api_key":
                value = value and MASK
            elif each.name == "headers":
                value = dict.fromkeys(value, MASK)
            elif each.name in ("server_url", "proxy") and value and (password := urlsplit(value).password):
                value = value.replace(f":{password}@", f":{MASK}@")
            shown.append(f"{each.name}={value!r}")
        return f"Settings({', '.join(shown)})"


def load(arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from arguments (None means: not given), then from `LOGCOLLECTOR_<NAME>` variables, then defaults.

    Raises:
        SettingError: a value is not allowed, or a name is unknown.
    """
    environ = os.environ if environ is None else environ
    unknown = sorted(set(arguments) - set(_READERS))
    if unknown:
        raise SettingError(f"{unknown[0]} is not a setting of LogCollectorHandler; there are {', '.join(_READERS)}")
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        given = arguments.get(name)
        variable = PREFIX + name.upper()
        if given is not None:
            values[name] = read(name, given)
        elif variable in environ and environ[variable] != "":
            values[name] = read(variable, _from_text(name, variable, environ[variable]))
    return Settings(**values)


def _error(name: str, value: object, allowed: str) -> SettingError:
    return SettingError(f"{name} is {value!r}; allowed: {allowed}")


def _from_text(name: str, variable: str, text: str) -> Any:
    """What an environment variable says, as the plain value that an argument would have been."""
    default = getattr(_DEFAULTS, name)
    if name in ("headers", "redact"):
        try:
            return json.loads(text)
        except ValueError as error:
            kind = "object" if name == "headers" else "list"
            shown = MASK if name == "headers" else text
            raise _error(variable, shown, f"a JSON {kind}") from error
    if isinstance(default, bool):
        value = {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        flag = value.get(text.strip().lower())
        if flag is not None:
            return flag
        return text if name == "verify" else _fail(variable, text, "true or false")
    if isinstance(default, int | float):
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _fail(name: str, value: object, allowed: str) -> Any:
    raise _error(name, value, allowed)


_Reader = Callable[[str, Any], Any]


def _text(limit: int | None = None) -> _Reader:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise _error(name, value, "text")
        if limit is not None and len(value) > limit:
            raise _error(name, value, f"text of {limit} characters at most")
        return value

    return read


def _one_of(*allowed: str, aliases: Mapping[str, str] = MappingProxyType({})) -> _Reader:
    def read(name: str, value: Any) -> str:
        if isinstance(value, str):
            lower = value.strip().lower()
            lower = aliases.get(lower, lower)
            for each in allowed:
                if each.lower() == lower:
                    return each
        raise _error(name, value, ", ".join(allowed))

    return read


def _whole(least: int) -> _Reader:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _error(name, value, f"a whole number from {least}")
        return value

    return read


def _seconds(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= _LONGEST:
        raise _error(name, value, f"seconds, more than 0 and up to {_LONGEST}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _error(name, value, "true or false")
    return value


def _level(name: str, value: Any) -> int:
    allowed = "a level of logging, as a name (ERROR) or a number (40)"
    if isinstance(value, str):
        if value.strip().isdecimal():
            return int(value)
        number = logging.getLevelName(value.strip().upper())
        if isinstance(number, int):
            return number
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _error(name, value, allowed)


def _url(*schemes: str) -> _Reader:
    def read(name: str, value: Any) -> str:
        allowed = f"a URL like {schemes[0]}://host:port"
        # What stands before an @ may be a password, also in what is no URL.
        shown = f"{MASK}@{value.rpartition('@')[2]}" if isinstance(value, str) and "@" in value else value
        try:
            # urlsplit takes blanks and line ends out by itself, and nobody hears of it.
            parts = urlsplit(value) if isinstance(value, str) and "".join(value.split()) == value else None
            if parts is not None:
                _ = parts.port  # Raises for a port that is no number.
                (parts.hostname or "").encode("idna")  # Raises for what no name can be, as `a..b`.
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            raise _error(name, shown, allowed)
        if parts.query or parts.fragment:
            # A key may stand there.
            raise _error(name, f"{re.split('[?#]', shown)[0]}?{MASK}", f"{allowed}, without ? and #")
        return f"{parts.scheme}{value[len(parts.scheme) :]}".rstrip("/")

    return read


def _headers(name: str, value: Any) -> Mapping[str, str]:
    allowed = "an object of names and texts, without line ends"
    if not isinstance(value, Mapping):
        raise _error(name, MASK, allowed)
    for key, text in value.items():
        plain = isinstance(key, str) and isinstance(text, str) and _HEADER_NAME.fullmatch(key)
        if not plain or not text.isascii() or not text.isprintable() or text != text.strip():
            raise _error(f"{name}[{key!r}]", MASK, allowed)
        if key.lower() in _OWN_HEADERS:
            raise _error(f"{name}[{key!r}]", MASK, "any header but those that the handler sets itself")
    return MappingProxyType(dict(value))


def _secret(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise _error(name, MASK, "text of printable ASCII characters")
    return value


def _verify(name: str, value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | os.PathLike) and os.path.exists(value):
        return os.fspath(value)
    raise _error(name, value, "true, false, or the path of a CA file or directory that exists")


def _directory(name: str, value: Any) -> str:
    if sys.platform == "win32":
        raise _error(name, value, "nothing on Windows: the spool needs POSIX file locks")
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise _error(name, value, "the path of a directory")
    return os.path.abspath(os.path.expanduser(os.fspath(value)))


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise _error(name, value, "a list of names")
    if not all(isinstance(each, str) for each in value):
        raise _error(name, value, "a list of names")
    return tuple(value)


_READERS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {
        "server_url": _url("http", "https"),
        "service": _text(TEXT_LIMITS["service"]),
        "environment": _one_of(*ENVIRONMENTS, aliases=ENVIRONMENT_ALIASES),
        "service_version": _text(TEXT_LIMITS["service_version"]),
        "log_type": _one_of(*LOG_TYPES),
        "batch_size": _whole(1),
        "flush_interval": _seconds,
        "flush_level": _level,
        "max_queue_size": _whole(1),
        "overflow": _one_of(*OVERFLOWS),
        "enable_compression": _flag,
        "max_retries": _whole(0),
        "timeout": _seconds,
        "max_batch_bytes": _whole(1024),
        "max_record_bytes": _whole(1024),
        "max_buffer_bytes": _whole(1024),
        "shutdown_timeout": _seconds,
        "api_key": _secret,
        "headers": _headers,
        "verify": _verify,
        "proxy": _url("http", "https"),
        "spool_dir": _directory,
        "durability": _one_of(*DURABILITIES),
        "fsync": _flag,
        "max_spool_bytes": _whole(1024),
        "redact": _names,
    }
)
_DEFAULTS: Final = Settings()
#: The names of all settings, in the order of the documentation.
NAMES: Final = tuple(_READERS)
