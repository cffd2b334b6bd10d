"""The check of the reference sees links and names that lead nowhere, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import logcollector_handler
from tests.readme import DOCUMENTS, TREE
from tests.reference import dead, is_there

GOOD = """
<a href="#place">here</a> <a href="sub/other.html#there">there</a> <a href="https://example.org/#x">elsewhere</a>
<p id="place"><code>logcollector_handler.LogClient.flush</code> <code>logcollector_handler.testing</code></p>
<code><a href="#place">logcollector_handler.Stats</a></code> <code>logcollector.access</code>
"""
OTHER = '<b id="there"></b><a href="../index.html#place">back</a>'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "sub/other.html").write_text(OTHER)
    return tmp_path


def test_a_whole_reference_is_passed(directory: Path) -> None:
    assert dead(directory) == []


@pytest.mark.parametrize(
    ("said", "instead", "line"),
    [
        ("#place", "#plaice", "index.html: no place for the link #plaice"),
        ("other.html", "another.html", "index.html: no page for the link sub/another.html#there"),
        ("#there", "#where", "index.html: no place for the link sub/other.html#where"),
        ("LogClient.flush", "LogClient.flusch", "index.html: no logcollector_handler.LogClient.flusch"),
        ("handler.Stats", "handler.Statz", "index.html: no logcollector_handler.Statz"),
        ("handler.testing", "handler.no_module", "index.html: no logcollector_handler.no_module"),
    ],
)
def test_what_leads_nowhere_is_named(directory: Path, said: str, instead: str, line: str) -> None:
    (directory / "index.html").write_text(GOOD.replace(said, instead, 1))
    assert dead(directory) == [line]


def test_it_says_by_its_exit_status_whether_the_reference_is_whole(directory: Path) -> None:
    def check() -> tuple[int, str]:
        command = [sys.executable, str(TREE / "tests/reference.py"), str(directory)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return ended.returncode, ended.stderr

    assert check() == (0, "")
    (directory / "sub/other.html").unlink()
    assert check() == (1, "index.html: no page for the link sub/other.html#there\n")
    (directory / "index.html").unlink()
    assert check() == (1, f"{directory} has no pages\n")


def test_the_reference_is_made_of_the_modules_that_the_package_names() -> None:
    named = set(re.findall(r"`(logcollector_handler\.[\w.]+)`", logcollector_handler.__doc__ or ""))
    made = (TREE / "tox.ini").read_text("utf-8").partition("[testenv:reference]")[2].partition("[testenv")[0]
    assert set(re.findall(r"logcollector_handler\.[\w.]+", made)) == named
    assert len(named) > 8


@pytest.mark.integration  # Only there is what all integrations need.
def test_the_names_of_the_package_in_the_guides_are_there() -> None:
    found = {name for text in DOCUMENTS.values() for name in re.findall(r"\blogcollector_handler(?:\.\w+)+", text)}
    assert len(found) > 12
    assert [name for name in found if not is_there(name)] == []
