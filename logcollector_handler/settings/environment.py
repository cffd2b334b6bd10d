"""Variables of the environment that were meant to say something here, and do not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from logcollector_handler.wire.resource import VARIABLE, parsed

from . import SETTINGS
from .setting import PREFIX

#: What Kubernetes and Docker put there for a service named `logcollector`.
_OF_A_SERVICE: Final = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?|NAME|ENV_\w+", re.ASCII
)


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable whose name begins as those of settings do, and that is none. No value is shown.

    One more if OpenTelemetry's attributes are not written as its specification says.

    Args:
        environ: the environment. Default: that of the process.
    """
    environ = os.environ if environ is None else environ
    names = sorted(name for name in environ if name.startswith(PREFIX))
    known = {setting.variable for setting in SETTINGS.values()}
    sentences = [
        _sentence(name)
        for name in names
        if name not in known and not _OF_A_SERVICE.fullmatch(name.removeprefix(PREFIX))
    ]
    try:
        parsed(environ.get(VARIABLE, ""))
    except ValueError:
        sentences.append(f"{VARIABLE} in the environment is ignored: it must be key=value,key=value, percent-encoded")
    return sentences


def _sentence(name: str) -> str:
    from difflib import get_close_matches  # Not needed before somebody misspells a name.

    # Without the prefix, which makes every name look like every other.
    near = get_close_matches(name.removeprefix(PREFIX).lower(), SETTINGS, n=1)
    # A value may have got into the name by mistake, so only what a name consists of is shown.
    found = re.match(r"\w+", name, re.ASCII)
    shown = found[0] if found else PREFIX
    guess = f"; did you mean {SETTINGS[near[0]].variable}?" if near else ""
    return f"{shown} in the environment is not a setting{guess}"
