"""What tests need that is not there everywhere: they are skipped where it is missing, and say so.

The project's check sets REQUIRE_PROGRAMS where nothing may be missing. There they fail instead of being skipped without
notice.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

#: The check runs where nothing may be missing.
REQUIRED = "REQUIRE_PROGRAMS" in os.environ


def program(name: str, package: str, *, in_each_debian: bool = True) -> str:
    """The path of a program, which this package of Debian installs. What not each Debian has may always be missing."""
    # `/usr/sbin` is on the path of root alone.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        assert not (REQUIRED and in_each_debian), f"{name} is not installed"
        pytest.skip(f"needs {name} (Debian: apt-get install {package})")
    return found


@contextlib.contextmanager
def packages() -> Iterator[None]:
    """Around imports of packages that only the group `integration` has, in modules that all groups import."""
    try:
        yield
    except ImportError as error:
        if REQUIRED:
            raise
        pytest.skip(f"needs {error.name}", allow_module_level=True)
