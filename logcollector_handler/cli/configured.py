"""Reads the settings of the LogCollectorHandlers in a `dictConfig` file (JSON, TOML or YAML), without applying it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

#: Keys of a handler's entry that are not settings of LogCollectorHandler but belong to `dictConfig` and `logging`.
_OTHER = frozenset({"class", "()", "level", "filters", "formatter", "."})


class ConfigurationError(Exception):
    """The file cannot be read, or contains no LogCollectorHandler. The message says what to do."""


def handlers_in(path: Path) -> dict[str, dict[str, Any]]:
    """The arguments of each LogCollectorHandler by its name. The `dictConfig` may be nested anywhere in the file.

    Raises:
        ConfigurationError: the file cannot be read, or contains no LogCollectorHandler.
    """
    found = dict(_handlers(_read(path)))
    if not found:
        raise ConfigurationError(f"{path} names no logcollector_handler.LogCollectorHandler among its handlers")
    return found


def _handlers(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for each in value:
            yield from _handlers(each)
    if not isinstance(value, Mapping):
        return
    for name, entry in value.items():
        if isinstance(entry, Mapping) and str(entry.get("class", entry.get("()"))).endswith(".LogCollectorHandler"):
            yield str(name), {key: given for key, given in entry.items() if key not in _OTHER}
        else:
            yield from _handlers(entry)


def _read(path: Path) -> Any:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8") from error
    suffix = path.suffix.lower()
    if suffix not in _PARSERS:
        raise ConfigurationError(f"{path} must be named *.json, *.toml, *.yaml or *.yml")
    try:
        return _PARSERS[suffix](text)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{path} is no {suffix[1:].upper()}: {error}") from error


def _toml(text: str) -> Any:
    try:
        tomllib = importlib.import_module("tomllib")
    except ImportError as error:
        raise ConfigurationError("TOML can be read from Python 3.11 on; use JSON or YAML") from error
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError as error:
        raise ConfigurationError("to read YAML install it: pip install PyYAML") from error
    return yaml.safe_load(text)


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    ".json": json.loads,
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
}
