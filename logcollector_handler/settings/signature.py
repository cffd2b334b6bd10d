"""The settings as the signature of a function: for type checkers and editors, for `inspect` and for `help()`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, get_args, get_origin

from . import SETTINGS, Settings

P = ParamSpec("P")


def _with_settings(init: Callable[..., None]) -> Callable[..., None]:
    """Show the settings as keywords of an `__init__` that takes `level` and any keywords, and describe them.

    The docstring of `init` ends with its `Args:`, to which a line for each setting is added.
    """
    signature = inspect.signature(init)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(each.kind.type))
        for name, each in SETTINGS.items()
    ]
    init.__signature__ = signature.replace(parameters=own + keywords)  # type: ignore[attr-defined]  # for `inspect`
    if init.__doc__ is not None:  # `python -OO` leaves docstrings out.
        init.__doc__ = "\n".join([inspect.cleandoc(init.__doc__), *map(_argument, SETTINGS)])
    return init


def _argument(name: str) -> str:
    """A setting as a line of a docstring's `Args:`."""
    setting = SETTINGS[name]
    unit = f" {setting.kind.unit}" if setting.default_shown[0].isdigit() and setting.kind.unit != "bytes" else ""
    return f"    {name}: {setting.help} Default {setting.default_shown}{unit}."


def _annotation(kind: Any) -> str:
    """`int | None` for an int with limits."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    name = plain.__name__ if isinstance(plain, type) and not get_args(plain) else str(plain)
    return f"{name.removeprefix('collections.abc.')} | None"


# To type checkers `with_settings` is a decorator that gives an `__init__` the parameters of `_Arguments`: it is a
# dataclass, and they know which arguments the constructor of one takes.
if TYPE_CHECKING:

    @dataclass(frozen=True)
    class _Level:
        level: int | str = 0

    @dataclass(frozen=True, kw_only=True)
    class _Arguments(Settings, _Level):
        pass

    def _like(of: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]: ...

    with_settings: Final = _like(_Arguments)
else:
    with_settings = _with_settings
