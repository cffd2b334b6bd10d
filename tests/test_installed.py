"""What is tested is what users get: the built wheel, whole, and not the tree that stands beside the tests."""

from __future__ import annotations

import os
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

import logcollector_handler

TREE = Path(__file__).parents[1] / "logcollector_handler"
INSTALLED = Path(logcollector_handler.__file__).parent

pytestmark = pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="only tox tests the built wheel")


def test_the_package_comes_from_site_packages() -> None:
    assert INSTALLED.parent == Path(sysconfig.get_path("purelib"))
    assert version("logcollector-handler") == logcollector_handler.__version__


def test_the_wheel_has_every_file_of_the_tree() -> None:
    def files(root: Path) -> set[str]:
        return {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    assert "py.typed" in files(INSTALLED)
    assert files(INSTALLED) == files(TREE)
