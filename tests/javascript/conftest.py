"""What the tests of the JavaScript client share: Node, an application with the package installed, and its scripts."""

from __future__ import annotations

import os
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import logcollector_handler
from tests import needed
from tests.integration.faulty import FaultyServer

PACKAGE = Path(logcollector_handler.__file__).parent / "javascript"
#: What the tests need beside the package, which itself needs nothing.
PACKAGES = ("pino@9", "winston@3", "typescript@5", "@types/node@20")
#: At the beginning of a script: the thread that logs waits thirty times as long for its worker. On a slow machine one
#: is up, or gets the processor, after seconds only.
PATIENT = """
const { wait } = Atomics;
Atomics.wait = (cells, at, value, milliseconds) => wait(cells, at, value, milliseconds * 30);
"""


@dataclass
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class App:
    """A directory with `node_modules`, in which scripts are run."""

    directory: Path
    node: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> tuple[int, ...]:
        done = subprocess.run([self.node, "--version"], capture_output=True, text=True, check=True)
        return tuple(int(part) for part in done.stdout.strip().lstrip("v").split("."))

    def start(self, source: str, *, suffix: str = "mjs", **environ: str) -> subprocess.Popen[str]:
        script = self.directory / f"script-{time.monotonic_ns()}.{suffix}"
        script.write_text(textwrap.dedent(source))
        return subprocess.Popen(
            [self.node, script.name],
            cwd=self.directory,
            env={**os.environ, **self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, source: str, *, suffix: str = "mjs", timeout: float = 120, **environ: str) -> Ended:
        start = time.monotonic()
        process = self.start(source, suffix=suffix, **environ)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return Ended(process.returncode, out, err, time.monotonic() - start)


@pytest.fixture(scope="session")
def node() -> str:
    return needed.program("node", "nodejs")


@pytest.fixture(scope="session")
def installed(node: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    """An application that has the package, by a link as `npm install <folder>` makes it."""
    directory = tmp_path_factory.mktemp("app")
    (directory / "node_modules").mkdir()
    (directory / "node_modules" / "logcollector-handler").symlink_to(PACKAGE)
    return App(directory, node)


@pytest.fixture(scope="session")
def with_packages(node: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    """An application into which npm has installed the package from its folder, and what the tests need."""
    npm = needed.program("npm", "npm")
    directory = tmp_path_factory.mktemp("npm")
    (directory / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", str(PACKAGE), *PACKAGES]
    done = needed.from_npm(command, cwd=directory)
    assert done.returncode == 0, done.stderr
    return App(directory, node)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A server that takes everything until the test says otherwise."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def app(installed: App, server: FaultyServer) -> App:
    """The application, which logs to the server."""
    return App(installed.directory, installed.node, {"LOGCOLLECTOR_SERVER_URL": server.url})
