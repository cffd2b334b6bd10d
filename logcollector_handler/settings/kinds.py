"""The kinds of values that settings have: what is allowed, and how environment and documentation write it.

msgspec checks type and limits. A kind adds what a type cannot say, for example that a level has a name. Kinds whose
values must not be shown, or not all of them, are in `secret`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from logcollector_handler.entry.model import LEVEL_NUMBERS, level_called
from logcollector_handler.entry.patterns import COMMON, problem

Given = TypeVar("Given", contravariant=True)
Value = TypeVar("Value", covariant=True)

MIB: Final = 1024 * 1024
_BYTE_UNITS: Final = ((1024 * MIB, "GiB"), (MIB, "MiB"), (1024, "KiB"), (1, "bytes"))
#: Seconds. Nothing that is waited for takes longer than a day.
_LONGEST: Final = 86_400
_FLAGS: Final = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


class NotAllowedError(Exception):
    """A value is not allowed.

    Args:
        shown: the value as the error message may show it, that is, without secrets.
        allowed: what is allowed.
        at: which part of the value is refused, as `['X-Team']`. Default: all of it.
    """

    def __init__(self, shown: object, allowed: str, at: str = "") -> None:
        self.shown = shown
        self.allowed = allowed
        self.at = at


class Kind(Generic[Given, Value]):
    """What the values of a setting are. A subclass says the type, and overrides what is different for it."""

    #: The type of what is given, with its limits; msgspec checks it.
    type: Any
    #: The same in words, for error messages.
    allowed: str
    #: What a number counts, for the documentation.
    unit: str = ""

    def accept(self, value: object) -> Value:
        """The value to hold for what was given. What this returns it also accepts, and returns as it is.

        Raises:
            NotAllowedError: it is not allowed.
        """
        try:
            checked: Given = msgspec.convert(value, self.type)
        except msgspec.ValidationError:
            raise self.refused(value) from None
        return self.read(checked)

    def read(self, given: Given) -> Value:
        """The value to hold for something of the right type; raises NotAllowedError when it is not allowed."""
        return given  # type: ignore[return-value]  # kinds whose Value is another type override this

    def refused(self, value: object) -> NotAllowedError:
        """The error for a value that is not allowed."""
        return NotAllowedError(value, self.allowed)

    def parse(self, text: str) -> object:
        """What an environment variable says, as the argument that it stands for."""
        return text

    def shown(self, value: Any) -> str:
        """A value as the documentation shows it."""
        if value is None or value == {}:
            return "none"
        return f"`{value}`" if isinstance(value, str) else str(value)

    def hide(self, value: Any) -> object:
        """A value without its secrets, for `repr`."""
        return value

    def secrets(self, value: Any) -> dict[str, str]:
        """The texts in a value that nothing may show, each with what to show instead."""
        return {}


class _Number(Kind[Given, Value]):
    def parse(self, text: str) -> object:
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
        return text


class Whole(_Number[int, int]):
    """A whole number, `least` or more."""

    def __init__(self, least: int, unit: str) -> None:
        self.type: Any = Annotated[int, Meta(ge=least)]
        self.allowed: str = f"a whole number from {least}"
        self.unit = unit


class Size(Whole):
    """A number of bytes, from 1024."""

    def __init__(self) -> None:
        super().__init__(1024, "bytes")

    def shown(self, value: int) -> str:
        factor, name = next(each for each in _BYTE_UNITS if value % each[0] == 0)
        return f"{value // factor} {name}"


class Seconds(_Number[float, float]):
    """Seconds, whole or not, up to a day."""

    type = Annotated[float, Meta(gt=0, le=_LONGEST)]
    allowed: str = f"seconds, more than 0 and up to {_LONGEST}"
    unit = "seconds"


class _Flag(Kind[Given, Value]):
    def parse(self, text: str) -> object:
        return _FLAGS.get(text.strip().lower(), text)

    def shown(self, value: object) -> str:
        return str(value).lower()


class Flag(_Flag[bool, bool]):
    """True or false."""

    type = bool
    allowed = "true or false"


class Verify(_Flag[bool | str | os.PathLike[str], bool | str]):
    """Whether certificates are verified, or where the certificates are to verify them with."""

    type = bool | str
    allowed = "true, false, or the path of a CA file or directory that exists"

    def accept(self, value: object) -> bool | str:
        return super().accept(_path(value))

    def read(self, given: bool | str | os.PathLike[str]) -> bool | str:
        if isinstance(given, bool):
            return given
        if os.path.exists(given):
            return os.fspath(given)
        raise self.refused(given)


class ClientCert(Kind[str | os.PathLike[str] | Sequence[str | os.PathLike[str]], str | tuple[str, str]]):
    """Where the certificate and the key are by which a client of TLS proves who it is. Neither is read here."""

    type = str | Sequence[str]
    allowed = "the path of a PEM file with certificate and key, or a list of two paths, certificate and key; all exist"

    def accept(self, value: object) -> str | tuple[str, str]:
        return super().accept([_path(each) for each in value] if isinstance(value, list | tuple) else _path(value))

    def read(self, given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> str | tuple[str, str]:
        if isinstance(given, str | os.PathLike):
            if os.path.isfile(given):
                return os.fspath(given)
        elif len(given) == 2 and all(os.path.isfile(each) for each in given):
            certificate, key = given
            return os.fspath(certificate), os.fspath(key)
        raise self.refused(given)

    def parse(self, text: str) -> object:
        return from_json(text, text, self.allowed) if text.lstrip().startswith("[") else text


class Text(Kind[str, str]):
    """Text of `limit` characters at most. A NUL is not allowed, because databases refuse it."""

    def __init__(self, limit: int) -> None:
        self.type: Any = Annotated[str, Meta(max_length=limit, pattern=r"^[^\0]*$")]
        self.allowed: str = f"text of {limit} characters at most, without NUL"


class OneOf(Kind[str, str]):
    """One of some names, in any case. `aliases` are other names for them, in lower case."""

    type = str

    def __init__(self, *names: str, aliases: Mapping[str, str] = MappingProxyType({})) -> None:
        self.allowed: str = ", ".join(names)
        self._names = {**{name.lower(): name for name in names}, **aliases}

    def read(self, given: str) -> str:
        name = self._names.get(given.strip().lower())
        if name is None:
            raise self.refused(given)
        return name


class Level(Kind[int | str, int]):
    """A level of logging, by its name or number."""

    type = int | str
    allowed = "a level of logging, as a name (ERROR) or a number (40)"
    unit = "level"

    def read(self, given: int | str) -> int:
        if isinstance(given, int):
            return given
        if given.strip().isdecimal():
            return int(given)
        number = logging.getLevelName(given.strip().upper())
        if isinstance(number, int):
            return number
        name = level_called(given)
        if name is None:
            raise self.refused(given)
        return LEVEL_NUMBERS[name]

    def shown(self, value: int) -> str:
        return f"`{logging.getLevelName(value)}`"


class Names(Kind[Sequence[str], tuple[str, ...]]):
    """A list of names."""

    type = Sequence[str]
    allowed = "a list of names"

    def read(self, given: Sequence[str]) -> tuple[str, ...]:
        return tuple(given)

    def parse(self, text: str) -> object:
        return from_json(text, text, "a JSON list")


class Patterns(Kind[str | Sequence[str], tuple[str, ...]]):
    """A list of regular expressions, or the name of the ready ones, which can also be in the list."""

    type = str | Sequence[str]
    allowed = f"{COMMON}, or a list of regular expressions and {COMMON}"

    def read(self, given: str | Sequence[str]) -> tuple[str, ...]:
        if isinstance(given, str) and given != COMMON:
            raise self.refused(given)
        patterns = (given,) if isinstance(given, str) else tuple(given)
        for number, pattern in enumerate(patterns):
            if wrong := problem(pattern):
                allowed = f"{COMMON}, or a regular expression that matches some letters ({wrong})"
                raise NotAllowedError(pattern, allowed, f"[{number}]")
        return patterns

    def parse(self, text: str) -> object:
        return from_json(text, text, self.allowed) if text.lstrip().startswith("[") else text.strip()


class Directory(Kind[str | os.PathLike[str], str]):
    """The path of a directory, which need not exist. Not on Windows."""

    type = str
    allowed = "the path of a directory"

    def accept(self, value: object) -> str:
        if sys.platform == "win32":
            raise NotAllowedError(value, "nothing on Windows: the spool needs POSIX file locks")
        return super().accept(_path(value))

    def read(self, given: str | os.PathLike[str]) -> str:
        if not given:
            raise self.refused(given)
        return os.path.abspath(os.path.expanduser(given))


def _path(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def from_json(text: str, shown: object, allowed: str) -> object:
    """What JSON text says. Raises NotAllowedError, with `shown` and `allowed`, if it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise NotAllowedError(shown, allowed) from None
