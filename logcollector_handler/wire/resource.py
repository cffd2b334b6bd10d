"""Who logs, in OpenTelemetry's words: the resource that stands before the records of one service and process.

What the settings say is in the entries. Here is the rest: the host, this package, and the variable
`OTEL_RESOURCE_ATTRIBUTES`, which is written as OpenTelemetry's specification says: `key=value` with commas in
between, other characters percent-encoded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, unquote

from msgspec import UNSET
from msgspec.json import encode

from logcollector_handler.entry.model import DEFAULT_ENVIRONMENT, ENVIRONMENT_ALIASES, ENVIRONMENTS
from logcollector_handler.entry.text import clean_text

#: What a line of the journal has beside the columns. Another process may make a batch of it, on another host even.
RESOURCE: Final = "resource"
VARIABLE: Final = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE: Final = "service.name"
VERSION: Final = "service.version"
ENVIRONMENT: Final = "deployment.environment.name"
#: How the conventions called it until 2024.
_OLD_ENVIRONMENT: Final = "deployment.environment"
#: What a resource has that nobody has named; the specification says so.
_UNKNOWN: Final = "unknown_service"


@lru_cache(maxsize=16)
def parsed(variable: str) -> Mapping[str, str]:
    """The attributes in a value of OTEL_RESOURCE_ATTRIBUTES.

    Raises:
        ValueError: it is not written as the specification says, which wants all of it to be ignored then.
    """
    made = {}
    for pair in filter(str.strip, variable.split(",")):
        key, equals, value = pair.partition("=")
        key = _decoded(key)
        if not equals or not key:
            raise ValueError("it is not key=value with commas in between")
        made[key] = _decoded(value)
    return made


def told(variable: str) -> Mapping[str, str]:
    """As `parsed`; nothing if that raises."""
    try:
        return parsed(variable)
    except ValueError:
        return {}


def environment_in(variable: str) -> str | None:
    """The environment that a value of OTEL_RESOURCE_ATTRIBUTES names, in this package's words if it has one for it."""
    attributes = told(variable)
    named = attributes.get(ENVIRONMENT) or attributes.get(_OLD_ENVIRONMENT)
    plain = (named or "").strip().lower()
    return plain if plain in ENVIRONMENTS else ENVIRONMENT_ALIASES.get(plain, named)


def attributes_of(variable: str, service: Any, version: Any, environment: Any, process: Any) -> dict[str, Any]:
    """The attributes of a resource.

    Args:
        variable: the value of OTEL_RESOURCE_ATTRIBUTES.
        service: the column of an entry, or UNSET; it wins over the variable, unless it is empty.
        version: the same.
        environment: the same.
        process: the id of the process, or None.
    """
    from logcollector_handler import __version__  # Not at the top: the package itself imports this module.

    made = {
        "host.name": _host() or None,
        "telemetry.sdk.name": "logcollector-handler",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        "process.pid": process,
        **told(variable),
    }
    named = environment_in(variable)
    if environment == DEFAULT_ENVIRONMENT and named and named not in ENVIRONMENTS:
        # The column has no word for it, so the settings could not take it for their default.
        environment = named
    for name, value in (SERVICE, service), (VERSION, version), (ENVIRONMENT, environment):
        if value not in (UNSET, ""):
            made[name] = value
    made[SERVICE] = made.get(SERVICE) or _UNKNOWN
    return {name: value for name, value in made.items() if value is not None}


def variable() -> str:
    """The value of OTEL_RESOURCE_ATTRIBUTES in the environment of this process."""
    return os.environ.get(VARIABLE, "")


@lru_cache(maxsize=16)
def for_others(variable: str) -> bytes:
    """The field RESOURCE of a line, behind a comma: as if the variable had named the host, too."""
    host = f"host.name={quote(_host(), safe='')}"
    return b"," + encode({RESOURCE: f"{host},{clean_text(variable)}" if told(variable) else host})[1:-1]


def _host() -> str:
    # Not by `socket` or `platform`, which take long to import: this runs in a logging call.
    return clean_text(os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", ""))


def _decoded(text: str) -> str:
    return clean_text(unquote(text.strip(), errors="strict"))
