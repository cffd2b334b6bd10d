"""uWSGI forks its workers in C: each answers every request, and each record arrives, once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages

#: The command of this Python's environment. pyuwsgi has wheels for some platforms and Pythons only.
UWSGI = shutil.which("uwsgi", path=os.path.dirname(sys.executable))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(UWSGI is None, reason="pyuwsgi has no wheel for this Python here, so there is no uWSGI"),
]

#: Where uWSGI tells what its workers do, in the directory of the test.
_STATS = "stats.sock"

APPLICATION = """
import logging, logging.config, os

logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"collector": {
        "class": "logcollector_handler.LogCollectorHandler",
        "server_url": os.environ["SERVER"],
        "flush_interval": float(os.environ.get("FLUSH_INTERVAL", "0.2")),
    }},
    "root": {"level": "INFO", "handlers": ["collector"]},
})
log = logging.getLogger("shop")
if "LOGS_AT_IMPORT" in os.environ:
    log.info("loaded %d", os.getpid())

def application(environ, start_response):
    if environ["PATH_INFO"] == "/loads-openssl":
        import ssl
    if environ["PATH_INFO"] != "/silent":
        log.info("request %s in %d", environ["PATH_INFO"], os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@contextmanager
def serving(directory: Path, environ: dict[str, str], *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """uWSGI with two workers, its URL and its process; with all of its children it ends, whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (directory / "app.py").write_text(textwrap.dedent(APPLICATION))
    usual = ["--master", "--processes", "2", "--need-app", "--die-on-term", "--disable-logging"]
    process = subprocess.Popen(
        [
            str(UWSGI),
            "--http-socket",
            f"127.0.0.1:{port}",
            "--wsgi-file",
            "app.py",
            "--stats",
            _STATS,
            *usual,
            *options,
        ],
        cwd=directory,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def wait_until_it_serves(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            get(f"{url}/silent")
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("uWSGI does not serve")


def wait_until_idle(directory: Path) -> None:
    """Wait until no worker is in a request. One that is runs no exit handlers, also if its answer has just arrived."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as asked, suppress(OSError, ValueError):
            # Relative to the directory, because the address of such a socket is short.
            asked.connect(os.path.relpath(directory / _STATS))
            told = json.loads(b"".join(iter(lambda: asked.recv(65536), b"")))
            if all(worker["status"] == "idle" for worker in told["workers"]):
                return
        time.sleep(0.02)
    pytest.fail("a worker of uWSGI stays busy")


def end(process: subprocess.Popen[str], directory: Path) -> str:
    """Have uWSGI end, and return what it has said.

    Not waited for without a bound: a worker finalizes Python in the thread that the signal came to. If that is not the
    main thread CPython hangs until uWSGI kills the worker a minute later. A signal can come to a thread that is just
    being started, whoever starts one.
    """
    wait_until_idle(directory)
    process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=45)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


@pytest.mark.parametrize("logs_at_import", [False, True], ids=["silent import", "logs at import"])
@pytest.mark.parametrize(
    "options",
    [
        "",
        "--enable-threads",
        "--enable-threads --threads 2",
        "--enable-threads --py-call-osafterfork",
        "--enable-threads --py-call-uwsgi-fork-hooks",
        "--enable-threads --lazy-apps",
        "--gevent 10",
        "--gevent 10 --gevent-monkey-patch",
        "--gevent 10 --gevent-monkey-patch --lazy-apps",
        "--gevent 10 --gevent-monkey-patch --py-call-osafterfork",
    ],
)
def test_each_request_is_answered_and_each_record_arrives_once(
    server: FaultyServer, tmp_path: Path, options: str, logs_at_import: bool
) -> None:
    environ = {"SERVER": server.url, **({"LOGS_AT_IMPORT": "1"} if logs_at_import else {})}
    lazy = "--lazy-apps" in options
    loaded = (2 if lazy else 1) if logs_at_import else 0
    with serving(tmp_path, environ, *options.split()) as (url, process):
        wait_until_it_serves(url, process)
        workers = [get(f"{url}/{number}") for number in range(30)]
        # uWSGI's first process ends without the exit handlers of Python: what it has by then is lost.
        server.wait_for_stored(loaded + 30, timeout=60)
        out = end(process, tmp_path)
    assert "logcollector-handler" not in out
    found = Counter(messages(server))
    expected = Counter(f"request /{number} in {worker}" for number, worker in enumerate(workers))
    at_import = {each: count for each, count in found.items() if each.startswith("loaded")}
    assert found - Counter(at_import) == expected, out
    assert len(at_import) == sum(at_import.values()) == loaded


@pytest.mark.parametrize("options", ["", "--enable-threads", "--lazy-apps"])
def test_a_worker_in_which_openssl_came_late_sends_what_it_has_when_it_ends(
    server: FaultyServer, tmp_path: Path, options: str
) -> None:
    """OpenSSL is torn down before Python's exit handlers run if it was loaded after uWSGI had registered its own."""
    environ = {"SERVER": server.url, "FLUSH_INTERVAL": "3600"}
    with serving(tmp_path, environ, "--processes", "1", *options.split()) as (url, process):
        wait_until_it_serves(url, process)
        worker = get(f"{url}/loads-openssl")
        for _ in range(20):
            # The signal must not come to a thread that is being started just now: see `end`.
            get(f"{url}/silent")
        out = end(process, tmp_path)
    assert "Segmentation Fault" not in out
    assert messages(server) == [f"request /loads-openssl in {worker}"], out
