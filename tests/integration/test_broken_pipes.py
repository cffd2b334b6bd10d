"""Processes in which SIGPIPE has its default live on, whatever the server, the proxy and stderr do to their writes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.integration import behaviours
from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages
from tests.integration.proxying import ConnectProxy

pytestmark = pytest.mark.integration

#: Four megabytes, more than the buffers of a connection take.
SCRIPT = """
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
handler = configure(enable_compression=False, verify=os.environ["CA"], proxy=os.environ.get("PROXY"), timeout=60)
for number in range(200):
    log.info("%d %s", number, "x" * 20_000)
assert handler.flush(120)
print("alive", flush=True)
"""

CUTS = {
    "answers early": lambda: behaviours.answer_early(503),
    "cuts before the body": behaviours.cut_before_body,
    "cuts in the body": behaviours.cut_during_body,
}


def run(server: FaultyServer, script: str, ca: str, **popen: object) -> tuple[int, str]:
    more = {name: str(value) for name, value in popen.items() if name.isupper()}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        env={**os.environ, "SERVER": server.url, "CA": ca, **more},
        stdout=subprocess.PIPE,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("way", ["plain", "TLS", "TLS through a proxy"])
def test_a_server_that_closes_while_it_is_written_to_does_not_end_the_process(
    certificate: tuple[str, str], way: str, name: str
) -> None:
    with (
        FaultyServer([CUTS[name]()] * 2, tls=None if way == "plain" else certificate) as server,
        ConnectProxy() as proxy,
    ):
        more = {"PROXY": proxy.url} if "proxy" in way else {}
        assert run(server, SCRIPT, certificate[0], **more) == (0, "alive\n")
        assert len(messages(server)) == 200
        assert bool(proxy.heads) is ("proxy" in way)


def test_a_proxy_that_closes_does_not_end_the_process(certificate: tuple[str, str]) -> None:
    with FaultyServer(tls=certificate) as server, ConnectProxy(503) as proxy:
        script = SCRIPT.replace("assert handler.flush(120)", "handler.flush(3)\nhandler.close()")
        script = script.replace("timeout=60", "timeout=60, shutdown_timeout=1")
        assert run(server, script, certificate[0], PROXY=proxy.url) == (0, "alive\n")


def test_a_stderr_that_nobody_reads_does_not_end_the_process(certificate: tuple[str, str]) -> None:
    script = """
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 2)
        handler = configure(timeout=60)
        log.info("one")
        assert handler.flush(60)
        print("alive", flush=True)
    """
    with FaultyServer([behaviours.answer(500)]) as server:
        # With a buffer, as stderr has it by default.
        assert run(server, script, certificate[0], PYTHONUNBUFFERED="") == (0, "alive\n")
        assert messages(server) == ["one"]
