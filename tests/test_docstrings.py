"""Every public name says what it is for: a docstring that explains each parameter and names exceptions that exist.

That each parameter has a type is checked by mypy, and that the types are what users see, by `typing/api.py`.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import logcollector_handler

INTEGRATIONS = "logcollector_handler.integrations"
MODULES = [
    "logcollector_handler",
    "logcollector_handler.testing",
    *(
        f"{INTEGRATIONS}.{name}"
        for name in ("asgi", "browser", "loguru", "opentelemetry", "prometheus", "structlog", "wsgi")
    ),
]
#: Those that need packages which only the integration tests have.
HEAVY_MODULES = [f"{INTEGRATIONS}.celery", f"{INTEGRATIONS}.rq"]
every_module = pytest.mark.parametrize(
    "module", [*MODULES, *(pytest.param(name, marks=pytest.mark.integration) for name in HEAVY_MODULES)]
)

_TYPING = Path(__file__).with_name("typing") / "api.py"
#: `    name: what it is`, a line of a section such as `Args:`.
_ENTRY = re.compile(r"^    (\w+): ", re.MULTILINE)
_RAISES = re.compile(r"^Raises:\n((?:    .*\n?|\n)+)", re.MULTILINE)
#: How a docstring leaves its arguments to that of another function.
_THOSE_OF = re.compile(r"arguments are those of\s+`([\w.]+)`")
_ARGS = re.compile(r"^Args:\n((?:    .*\n?|\n)+)", re.MULTILINE)
#: Parameters that are times, by the word that the docstring must have for their unit.
_UNITS = {"timeout": "seconds", "per": "seconds"}


class Documented(NamedTuple):
    """Something that users call, with the text that is to explain it."""

    name: str
    text: str
    parameters: list[inspect.Parameter]


def test_every_public_module_is_looked_at() -> None:
    package = Path(logcollector_handler.__file__).parent
    paths = [package / "__init__.py", package / "testing.py", *(package / "integrations").rglob("*.py")]
    found = {
        ".".join(["logcollector_handler", *path.relative_to(package).with_suffix("").parts]).removesuffix(".__init__")
        for path in paths
        if re.search(r"^__all__ = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == {*MODULES, *HEAVY_MODULES}


@every_module
def test_every_public_name_is_used_where_type_checkers_look(module: str) -> None:
    tree = ast.parse(_TYPING.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(public(module)) <= used


@every_module
def test_every_public_name_has_a_docstring_that_explains_each_parameter(module: str) -> None:
    missing = []
    for each in documented(module):
        explained = explanations(each.text)
        missing += [f"{each.name} has no docstring"] * (not each.text)
        missing += [f"{each.name}: {one.name}" for one in each.parameters if one.name not in explained]
    assert missing == []


@every_module
def test_a_time_has_a_unit_and_a_default_is_told(module: str) -> None:
    missing = []
    for each in documented(module):
        for parameter in each.parameters:
            unit = _UNITS.get(parameter.name, "")
            said = entry_of(parameter.name, each.text)
            has_default = parameter.default not in (inspect.Parameter.empty, None)
            if unit not in each.text or (said and has_default and "default" not in said.lower()):
                missing.append(f"{each.name}: {parameter.name}")
    assert missing == []


@every_module
def test_the_exceptions_that_a_docstring_names_exist(module: str) -> None:
    for each in documented(module):
        for section in _RAISES.findall(each.text):
            names = _ENTRY.findall(section)
            assert names, each.name
            for name in names:
                found = getattr(logcollector_handler, name, getattr(builtins, name, None))
                assert isinstance(found, type), f"{each.name}: {name}"
                assert issubclass(found, BaseException), f"{each.name}: {name}"


def public(module: str) -> list[str]:
    """The public names of a module."""
    return list(importlib.import_module(module).__all__)


def documented(module: str) -> Iterator[Documented]:
    """Everything that users call, of one module."""
    for name in public(module):
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, type):
            yield from of_class(found)
        elif callable(found):
            yield Documented(name, text_of(found), parameters(found))


def of_class(kind: type[Any]) -> Iterator[Documented]:
    """A class with its constructor, and its public methods and properties; not those that others have written."""
    made_by = inspect.getattr_static(kind, "__init__")
    if dataclasses.is_dataclass(kind):
        text = f"{text_of(kind)}\n{fields_of(kind)}"
        yield Documented(kind.__name__, text, parameters(kind))
    else:
        own = made_by if ours(made_by) else None
        text = f"{text_of(kind)}\n{text_of(own) if own else ''}"
        yield Documented(kind.__name__, text, parameters(kind) if own else [])
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if name.startswith("_") or not ours(member):
            continue
        text = text_of(member)
        of_all = f"{text}\n{text_of(kind)}" if text else ""
        called = callable(member) and not overrides(kind, name)
        yield Documented(f"{kind.__name__}.{name}", of_all, parameters(member)[1:] if called else [])


def ours(member: object) -> bool:
    """Whether the package has written this function or property."""
    function = member.fget if isinstance(member, property) else member
    return str(getattr(function, "__module__", "")).startswith("logcollector_handler")


def overrides(kind: type[Any], name: str) -> bool:
    """Whether a class of others has a method of this name, whose documentation explains the parameters."""
    return any(name in vars(base) for base in kind.__mro__ if not base.__module__.startswith("logcollector_handler"))


def text_of(what: object) -> str:
    """A docstring, and the one to which it leaves its arguments."""
    text = inspect.getdoc(what) or ""
    for name in _THOSE_OF.findall(text):
        text += f"\n{inspect.getdoc(operator.attrgetter(name)(logcollector_handler))}"
    return text


def fields_of(kind: type[Any]) -> str:
    """The comments `#:` above the fields of a dataclass, as a docstring has them. One may explain several fields."""
    entries, comment = [], ""
    for line in inspect.getsource(kind).splitlines():
        if match := re.match(r"    #: (.*)", line):
            comment = match[1]
        elif comment and (match := re.match(r"    (\w+): ", line)):
            entries.append(f"    {match[1]}: {comment}")
        elif not line.strip():
            comment = ""
    return "\n".join(entries)


def explanations(text: str) -> set[str]:
    """The names that a text explains: as entries of a section, or in backticks in a sentence."""
    return {*_ENTRY.findall(text), *re.findall(r"`(\w+)[^`]*`", text)}


def entry_of(name: str, text: str) -> str:
    """What the section `Args:` says of a parameter."""
    found = re.search(rf"^    {name}: (.*(?:\n        .*)*)", "\n".join(_ARGS.findall(text)), re.MULTILINE)
    return found[1] if found else ""


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that a caller can name, and the ones for any."""
    return [each for each in inspect.signature(function).parameters.values() if not each.name.startswith("_")]
