"""What a declaration of a setting is: its kind of value, its default, and one sentence of help.

`Settings` declares each setting as an attribute. Type checkers read the types off the annotation: `Given` is what an
argument may be, `Value` is what `Settings` then holds.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, overload

from .kinds import Kind, NotAllowedError

PREFIX: Final = "LOGCOLLECTOR_"

Given = TypeVar("Given")
Value = TypeVar("Value")


class SettingError(ValueError):
    """The value of a setting is not allowed. `dictConfig` raises a ValueError that has this as its cause."""


class UnknownSettingError(SettingError, TypeError):
    """There is no setting of that name. Also a TypeError, as for any keyword that a function does not take."""


class Setting(Generic[Given, Value]):
    """One setting of a handler, declared as an attribute of `Settings`.

    It is a descriptor: setting the attribute checks the value, so that a `Settings` never holds one that is not
    allowed. On the class itself the attribute is None: the dataclass takes that for the default of the argument.

    Args:
        kind: which values are allowed.
        default: the value when none is given.
        help: one sentence for the README and for `help()`: what the setting does.
        default_shown: how these two show the default. Default: as its kind shows it.
    """

    name: str

    def __init__(self, kind: Kind[Given, Value], default: Value, help: str, default_shown: str | None = None) -> None:  # noqa: A002 - named as argparse names it
        self.kind = kind
        self.default = default
        self.help = help
        self.default_shown: str = kind.shown(default) if default_shown is None else default_shown

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return PREFIX + self.name.upper()

    def from_argument(self, value: object) -> Value:
        """The value of an argument.

        Raises:
            SettingError: it is not allowed.
        """
        try:
            return self.kind.accept(value)
        except NotAllowedError as refused:
            raise wrong(self.name, refused) from None

    def from_environment(self, text: str) -> Value:
        """The value of the environment variable.

        Raises:
            SettingError: it is not allowed; the message names the variable.
        """
        try:
            return self.kind.accept(self.kind.parse(text))
        except NotAllowedError as refused:
            raise wrong(self.variable, refused) from None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> None: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Value: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Value | None:
        if instance is None:
            return None
        value: Value = instance.__dict__[self.name]
        return value

    def __set__(self, instance: object, value: Given | None) -> None:
        instance.__dict__[self.name] = self.default if value is None else self.from_argument(value)


def wrong(name: str, refused: NotAllowedError) -> SettingError:
    """The error that names the setting, shows the value and says what is allowed."""
    return SettingError(f"{name}{refused.at} is {refused.shown!r}; allowed: {refused.allowed}")
