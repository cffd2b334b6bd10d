"""Fixtures that run the command in a process of its own, as people start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: The code of the script `logcollector` that an installation creates.
ENTRY = "import sys; from logcollector_handler.cli import main; sys.exit(main())"

#: Takes the command's arguments; `environment` is added to its environment, and `before` is code that runs first.
Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory, in which the command runs."""
    directory = tmp_path / "cwd"
    directory.mkdir()
    return directory


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts the command, and kills it at the end of the test if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, environment: dict[str, str] | None = None, before: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{ENTRY}", *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # A process group of its own, as in a terminal, where Ctrl-C signals the whole group.
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    """Runs the command to its end."""

    def run(
        *arguments: str, environment: dict[str, str] | None = None, before: str = ""
    ) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, environment=environment, before=before)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run
