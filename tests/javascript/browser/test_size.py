"""What a page loads before it can log is small. The worker's part is loaded beside the page, and not counted."""

from __future__ import annotations

import gzip
import os
import subprocess
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
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if done.returncode and b"network" in done.stderr and "REQUIRE_PROGRAMS" not in os.environ:
        pytest.skip(f"needs {MINIFIER} from npm")
    assert done.returncode == 0, done.stderr.decode()
    assert b"createLogClient" in done.stdout
    assert len(gzip.compress(done.stdout)) <= 5 * 1024
