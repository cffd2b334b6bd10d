"""What a page loads before it can log is small. The worker's part is loaded beside the page, and not counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import logcollector_handler
from tests import needed

pytestmark = pytest.mark.integration

FOLDER = Path(logcollector_handler.__file__).parent / "javascript"
#: The minifier, from npm.
MINIFIER = "esbuild@0.25.12"


def test_what_a_page_loads_is_at_most_5_kb_minified_and_compressed() -> None:
    command = [needed.program("npx", "npm"), "--yes", MINIFIER, "--bundle", "--minify", "--format=esm"]
    command += ["--target=es2022", "--external:./sending.js", str(FOLDER / "browser.js")]
    done = needed.from_npm(command)
    assert done.returncode == 0, done.stderr
    assert "createLogClient" in done.stdout
    assert len(gzip.compress(done.stdout.encode())) <= 5 * 1024
