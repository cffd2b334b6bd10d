"""What tests need that is not there everywhere: they are skipped where it is missing, and say so.

The project's check sets REQUIRE_PROGRAMS where no program may be missing. There they fail instead of being skipped
without notice. That npm's registry is away fails no test.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest

#: What npm says where it cannot reach its registry.
_AWAY: Final = re.compile("network|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|E50[0-9]")
#: The check runs where nothing may be missing.
_REQUIRED = "REQUIRE_PROGRAMS" in os.environ


def program(name: str, package: str, *, in_each_debian: bool = True) -> str:
    """The path of a program, which this package of Debian installs. What not each Debian has may always be missing."""
    # `/usr/sbin` is on the path of root alone.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        assert not (_REQUIRED and in_each_debian), f"{name} is not installed"
        pytest.skip(f"needs {name} (Debian: apt-get install {package})")
    return found


@contextlib.contextmanager
def packages() -> Iterator[None]:
    """Around imports of packages that only the group `integration` has, in modules that all groups import."""
    try:
        yield
    except ImportError as error:
        if _REQUIRED:
            raise
        pytest.skip(f"needs {error.name}", allow_module_level=True)


def from_npm(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command that has npm fetch packages. The test is skipped where npm's registry cannot be reached."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    if done.returncode and _AWAY.search(done.stderr):
        pytest.skip("needs npm's registry")
    return done
