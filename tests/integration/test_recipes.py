"""The recipes of `examples/` for servers, containers and services, run with the very commands that their files have.

Docker and systemd themselves are not started: what their files would start is.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from logcollector_handler.settings import SETTINGS
from logcollector_handler.settings.setting import PREFIX
from logcollector_handler.testing import CollectorServer
from tests import needed, nginx
from tests.integration.served import free_port
from tests.readme import TREE

with needed.packages():
    import trustme
    import yaml

pytestmark = pytest.mark.integration

EXAMPLES = TREE / "examples"
TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BIN = Path(sys.executable).parent


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until it holds; what it gave."""
    deadline = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
    return found


@contextmanager
def running(command: list[str], directory: Path, environ: Mapping[str, str], **options: Any) -> Iterator[Any]:
    """A process in a session of its own, of which nothing is left in the end. Its stderr is the file `stderr`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    with (directory / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            command,
            env={**kept, "LOGCOLLECTOR_SHUTDOWN_TIMEOUT": "120", **environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def answers(url: str, **options: Any) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            return httpx.get(url, timeout=60, trust_env=False, **options).status_code == 200
        except httpx.TransportError:
            return False

    return asked


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """What a file sets, after a look at whether there are settings of these names."""
    names = {setting.variable for setting in SETTINGS.values()}
    assert set(given) <= names, f"no settings: {set(given) - names}"
    return {name: value.partition(":?")[0] for name, value in given.items()}


def stored_at(url: str, **options: Any) -> list[dict[str, Any]]:
    """What a collector has stored."""
    answer = httpx.get(f"{url}/logs", params={"limit": 1000}, timeout=60, trust_env=False, **options)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["logs"])


class TestDocker:
    FILES = EXAMPLES / "docker"
    SERVICES: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text("utf-8"))["services"]

    def test_the_files_fit_together(self) -> None:
        text = (self.FILES / "Dockerfile").read_text("utf-8")
        # The directories of the volumes belong to the user that the processes run as.
        (user,) = re.findall("^USER (.+)$", text, re.MULTILINE)
        (made,) = re.findall(f"install -d -o {user} -g {user} -m 700 (.+)$", text, re.MULTILINE)
        volumes = {each.partition(":")[2] for service in self.SERVICES.values() for each in service["volumes"]}
        assert set(made.split()) == volumes
        program, script = yaml.safe_load(re.findall("^CMD (.+)$", text, re.MULTILINE)[0])
        assert (program, (self.FILES / script).exists()) == ("python", True)
        assert f"COPY {script} ./" in text
        worker = environment_of(self.SERVICES["worker"]["environment"])
        assert worker["LOGCOLLECTOR_SPOOL_DIR"] in volumes
        assert worker["LOGCOLLECTOR_SERVER_URL"] == "http://collector:8000"
        grace = int(self.SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
        assert grace > int(worker["LOGCOLLECTOR_SHUTDOWN_TIMEOUT"])

    def test_a_worker_that_is_stopped_and_a_collector_that_was_away_lose_nothing(self, tmp_path: Path) -> None:
        collector = self.SERVICES["collector"]
        command = list(collector["command"])
        port = free_port()
        for flag, value in (
            ("--host", "127.0.0.1"),
            ("--port", str(port)),
            ("--database", str(tmp_path / "logs.sqlite")),
        ):
            command[command.index(flag) + 1] = value
        url = f"http://127.0.0.1:{port}"
        assert set(environment_of(collector["environment"])) == {"LOGCOLLECTOR_API_KEY"}
        health = [each.replace("http://127.0.0.1:8000", url) for each in collector["healthcheck"]["test"][1:]]
        health[0] = sys.executable
        environ = environment_of(self.SERVICES["worker"]["environment"]) | {
            "LOGCOLLECTOR_SERVER_URL": url,
            "LOGCOLLECTOR_API_KEY": TOKEN,
            "LOGCOLLECTOR_SPOOL_DIR": str(tmp_path / "spool"),
            "LOGCOLLECTOR_SHUTDOWN_TIMEOUT": "120",
        }
        jobs = tmp_path / "stderr"
        worker = [sys.executable, str(self.FILES / "app.py")]
        # In a container the worker is process 1, which a signal does not end without a handler.
        unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
        as_first = shutil.which("unshare") and subprocess.run([*unshare, "true"], check=False).returncode == 0
        with running(worker, tmp_path, environ) as away:
            # Nobody takes the first records, and the worker is killed.
            until(lambda: list((tmp_path / "spool").glob("*/*.json*")), "a batch in the spool")
            away.kill()
            away.wait(60)
        with running(command, tmp_path, {"LOGCOLLECTOR_API_KEY": TOKEN}):
            until(lambda: subprocess.run(health, capture_output=True, check=False).returncode == 0, "its health")
            assert httpx.get(f"{url}/logs", trust_env=False).status_code == 401
            told = jobs.read_text().count("INFO job")
            with running([*(unshare if as_first else ()), *worker], tmp_path, environ) as process:
                until(lambda: jobs.read_text().count("INFO job") >= told + 2, "two jobs")
                (pid,) = _children(process.pid) if as_first else (process.pid,)
                os.kill(pid, signal.SIGTERM)
                assert process.wait(180) == (143 if as_first else -signal.SIGTERM)
            stored = Counter(entry["message"] for entry in stored_at(url, headers=BEARER))
        done = Counter(re.findall(r"INFO (job \d+ is done)", jobs.read_text()))
        # The last record of a worker that is killed may be with the worker alone.
        assert sum((done - stored).values()) <= 1
        assert stored - done == Counter()
        assert stored["job 1 is done"] == 2


class TestSystemd:
    @staticmethod
    def unit(path: Path) -> configparser.SectionProxy:
        """The section `Service`; where a key stands several times, its values are in lines."""

        class Several(dict):  # type: ignore[type-arg]
            def __setitem__(self, key: str, value: Any) -> None:
                if key in self and isinstance(value, list):
                    self[key].extend(value)
                else:
                    super().__setitem__(key, value)

        parser = configparser.ConfigParser(strict=False, interpolation=None, dict_type=Several)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(path)
        return parser["Service"]

    @pytest.mark.parametrize("path", sorted((EXAMPLES / "systemd").glob("*.service")), ids=lambda path: path.stem)
    def test_commands_settings_and_directories_are_real(self, path: Path) -> None:
        unit = self.unit(path)
        environ = environment_of(dict(line.split("=", 1) for line in unit.get("Environment", "").splitlines()))
        state = f"/var/lib/{unit['StateDirectory']}"
        spool = environ.get("LOGCOLLECTOR_SPOOL_DIR")
        assert spool is None or spool.startswith(f"{state}/")
        assert int(unit.get("TimeoutStopSec", "90")) > int(environ.get("LOGCOLLECTOR_SHUTDOWN_TIMEOUT", "5"))
        program, *arguments = shlex.split(unit["ExecStart"])
        if Path(program).name == "logcollector":
            # argparse looks at flags and values before `--help` ends it.
            helped = [str(BIN / "logcollector"), *arguments, "--help"]
            assert subprocess.run(helped, capture_output=True, check=False).returncode == 0
            assert all(each.startswith(state) for each in arguments if each.startswith("/"))


@pytest.fixture
def behind_nginx(tmp_path: Path) -> Iterator[str]:
    """The URL of the nginx of the recipe, in front of the collector of the recipe. The authority is in `ca.pem`."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = ca.issue_cert("localhost")
    made.private_key_pem.write_to_path(tmp_path / "logs.key")
    for part in made.cert_chain_pems:
        part.write_to_path(tmp_path / "logs.crt", append=True)
    port, inner = free_port(), free_port()
    recipe = (EXAMPLES / "nginx/logs.conf").read_text("utf-8")
    for old, new in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("logs.example.com", "localhost"),
        ("/etc/nginx/tls", str(tmp_path)),
        ("127.0.0.1:8000", f"127.0.0.1:{inner}"),
    ):
        assert old in recipe
        recipe = recipe.replace(old, new)
    serve = [str(BIN / "logcollector"), "serve", "--port", str(inner), "--database", str(tmp_path / "logs.sqlite")]
    proxy = nginx.command(tmp_path, recipe)
    url = f"https://localhost:{port}"
    environ = {"LOGCOLLECTOR_API_KEY": TOKEN}
    with running(serve, tmp_path, environ), running(proxy, tmp_path, environ):
        until(answers(f"{url}/health", verify=_trusting(tmp_path)), "nginx with the collector behind it")
        yield url


def _trusting(directory: Path) -> Any:
    import ssl

    return ssl.create_default_context(cafile=directory / "ca.pem")


def test_a_handler_a_page_and_a_stream_work_through_nginx(behind_nginx: str, tmp_path: Path) -> None:
    program = "import logging, logcollector_handler as l; log = logging.getLogger('shop'); log.setLevel('INFO'); "
    program += "log.addHandler(l.LogCollectorHandler(max_batch_bytes=4 << 20, max_record_bytes=3 << 20)); "
    settings = {"LOGCOLLECTOR_SERVER_URL": behind_nginx, "LOGCOLLECTOR_API_KEY": TOKEN}
    stderr = tmp_path / "stderr"
    trusting = settings | {"LOGCOLLECTOR_VERIFY": str(tmp_path / "ca.pem")}

    def logged(code: str, environ: Mapping[str, str]) -> str:
        """What a program says on stderr."""
        before = stderr.stat().st_size
        with running([sys.executable, "-c", program + code], tmp_path, environ) as process:
            assert process.wait(180) == 0
        return stderr.read_bytes()[before:].decode()

    options = {"headers": BEARER, "trust_env": False, "verify": _trusting(tmp_path), "timeout": 60}
    with httpx.stream("GET", f"{behind_nginx}/logs/stream", **options) as stream:
        # Uncompressed, as large as bodies may become.
        large = {**trusting, "LOGCOLLECTOR_ENABLE_COMPRESSION": "false"}
        assert logged("log.info('through nginx'); log.info('é' * (1 << 20))", large) == ""
        # A stream that nginx gathered would not come before it has kilobytes of it.
        assert any("through nginx" in line for line in stream.iter_lines())
    assert [entry["message"][:13] for entry in stored_at(behind_nginx, headers=BEARER, verify=_trusting(tmp_path))] == [
        "é" * 13,
        "through nginx",
    ]
    page = httpx.get(f"{behind_nginx}/", **{**options, "headers": {"Accept": "text/html"}})
    assert "<html" in page.text
    # A certificate that nobody trusts is said, with the setting that names the authority.
    waiting = f"{program} log.error('kept'); import time; time.sleep(180)"
    with running([sys.executable, "-c", waiting], tmp_path, settings):
        until(lambda: "certificate" in stderr.read_text(), "a word on the certificate")
    assert "verify" in stderr.read_text()


@pytest.mark.parametrize(("server", "settings"), [("gunicorn", "gunicorn.conf.py"), ("uwsgi", "uwsgi.ini")])
def test_the_workers_of_a_server_log_as_its_files_say(server: str, settings: str, tmp_path: Path) -> None:
    if (BIN / server).exists() is False:
        pytest.skip(f"{server} has no wheel for this Python here")
    files, port = tmp_path / "files", free_port()
    shutil.copytree(EXAMPLES / server, files)
    text = (files / settings).read_text("utf-8")
    assert ":8080" in text
    (files / settings).write_text(text.replace(":8080", f":{port}"))
    guide = (files / "README.md").read_text("utf-8")
    command = shlex.split(re.findall(rf"^{server} .+$", guide, re.MULTILINE)[0])
    if server == "uwsgi":
        command += ["--home", sys.prefix]
    with CollectorServer(strict=True) as collector:
        environ = {"LOGCOLLECTOR_SERVER_URL": collector.url}
        with running(command, tmp_path, environ, cwd=files) as process:
            url = f"http://127.0.0.1:{port}/items/7"
            until(answers(url), "an answer")
            for _ in range(20):
                assert answers(url)()
            process.send_signal(signal.SIGTERM)
            process.wait(180)
        looked = [entry for entry in collector.entries if entry["message"] == "looked at /items/7"]
        assert len(looked) == 21
        assert {Path(entry["file_path"]).name for entry in looked} == {"shop.py"}
        assert sum(entry["metadata"]["logger"] == "logcollector.access" for entry in collector.entries) == 21
        if server == "gunicorn":
            assert any(entry["metadata"]["logger"] == "gunicorn.error" for entry in collector.entries)


LAMBDA = """
import os, signal, sys, types
import handler

for number in range(3):
    sys.stdin.readline()
    context = types.SimpleNamespace(aws_request_id=f"request-{number}")
    try:
        handler.handler({"amount": number} if number else {}, context)
    except KeyError:
        pass
    print(number, flush=True)
"""


def test_each_call_of_a_function_has_sent_its_records_before_the_process_is_frozen(tmp_path: Path) -> None:
    with CollectorServer(strict=True) as collector:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", LAMBDA],
            cwd=EXAMPLES / "lambda",
            env={**os.environ, "LOGCOLLECTOR_SERVER_URL": collector.url, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            try:
                for number in range(3):
                    process.send_signal(signal.SIGCONT)
                    process.stdin.write("call\n")
                    assert process.stdout.readline() == f"{number}\n"
                    # The function has returned.
                    process.send_signal(signal.SIGSTOP)
                    assert [entry["metadata"]["request_id"] for entry in collector.entries] == [
                        f"request-{each}" for each in range(number + 1)
                    ]
            finally:
                # Lambda gives no time for an end.
                process.kill()
        stored = collector.entries
    failed, *accepted = stored
    assert (failed["level"], failed["error_type"]) == ("ERROR", "KeyError")
    assert [entry["message"] for entry in accepted] == ["payment accepted"] * 2
    assert {Path(entry["file_path"]).name for entry in stored} == {"handler.py"}


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
