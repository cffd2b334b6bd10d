"""What is tested is what users get: the built wheel, whole, and not the tree that stands beside the tests."""

from __future__ import annotations

import os
import re
import sysconfig
from importlib.metadata import metadata, version
from pathlib import Path

import pytest

import logcollector_handler
from tests.readme import README

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


def test_the_text_for_pypi_leads_to_the_files_of_this_version() -> None:
    repository = "https://github.com/logcollector-handler/logcollector-handler"
    shown = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", metadata("logcollector-handler")["Description"])
    written = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", README)
    assert len(written) > 30
    # PyPI has no file beside the text: a link of the tree is one of the repository there, a picture one to its bytes.
    assert shown == [
        (picture, link)
        if re.match("https?:", link)
        else (picture, f"{repository}/{'raw' if picture else 'blob'}/v{version('logcollector-handler')}/{link}")
        for picture, link in written
    ]
