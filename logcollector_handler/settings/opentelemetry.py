"""What OpenTelemetry's variables of the environment say of settings that nothing else gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from logcollector_handler.entry.model import ENVIRONMENTS, TEXT_LIMITS
from logcollector_handler.wire.resource import SERVICE, VARIABLE, VERSION, environment_in, told

_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"


def told_by_opentelemetry(environ: Mapping[str, str]) -> dict[str, str]:
    """Values of settings by their names.

    The variables were not written for this package, so a value is made to fit instead of refused. An environment that
    the setting has no word for is left out.
    """
    variable = environ.get(VARIABLE, "")
    attributes = told(variable)
    texts = {
        "service": _plain(environ.get(_SERVICE_NAME, "")) or _plain(attributes.get(SERVICE, "")),
        "service_version": _plain(attributes.get(VERSION, "")),
    }
    found = {name: text[: TEXT_LIMITS[name]] for name, text in texts.items() if text}
    environment = environment_in(variable)
    return {**found, "environment": environment} if environment in ENVIRONMENTS else found


def _plain(text: str) -> str:
    return text.replace("\0", "").strip()
