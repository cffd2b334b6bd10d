"""Ways to the server that are closed: by a proxy, by certificates, by the system; and addresses of an interface."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.cli import main
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.cli.doctor.examined import Examined
from tests.delivery.harness import WIRE, Bench
from tests.integration import behaviours
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run
from tests.integration.proxying import ConnectProxy
from tests.integration.rig import SkippingClock

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def bench(**changes: object) -> Iterator[Bench]:
    settings = replace(Settings(), timeout=60.0, **changes)  # type: ignore[arg-type]
    clock = SkippingClock()
    transport = HttpTransport(settings, WIRE, clock)
    yield Bench(settings=settings, clock=clock, transport=transport)  # type: ignore[arg-type]
    transport.close()


# The proxy


@pytest.mark.parametrize("status", [407, 403])
def test_a_proxy_that_refuses_the_way_is_a_configuration_error(
    certificate: tuple[str, str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        FaultyServer(tls=certificate) as server,
        ConnectProxy(status) as proxy,
        bench(server_url=server.url, verify=certificate[0], proxy=proxy.url) as sender,
    ):
        sender.put("a", "one")
        sender.run(89)
        assert len(proxy.heads) == 3, "every 30 s"
        (said,) = capsys.readouterr().err.splitlines()
        assert f"waiting will not help (ProxyError: {status} No): check proxy" in said
        proxy.status = 200
        sender.run(31)
        assert sender.stats().delivered == 1


def test_a_proxy_that_is_busy_is_tried_again(certificate: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with (
        FaultyServer(tls=certificate) as server,
        ConnectProxy(503) as proxy,
        bench(server_url=server.url, verify=certificate[0], proxy=proxy.url) as sender,
    ):
        sender.put("a", "one")
        sender.step()
        assert "takes no logs now (ProxyError: 503 No)" in capsys.readouterr().err
        proxy.status = 200
        sender.run(2)
        assert sender.stats().delivered == 1


def test_the_doctor_says_that_the_proxy_wants_a_password(
    certificate: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_VERIFY", certificate[0])
    with FaultyServer(tls=certificate) as server, ConnectProxy(407) as proxy:
        examined = Examined(capsys, "--server-url", server.url, "--proxy", proxy.url)
        examined.only("authorization", "the proxy wants a password", "407")


# TLS


def test_a_certificate_that_is_not_trusted_is_a_configuration_error_that_names_the_setting(
    certificate: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyServer(tls=certificate) as server, bench(server_url=server.url) as sender:
        sender.put("a", "one")
        sender.run(29)
        (said,) = capsys.readouterr().err.splitlines()
        assert "waiting will not help" in said
        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert ": check verify; the logs are kept" in said


def test_tls_with_a_server_that_has_none_is_a_configuration_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Plain(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with bench(server_url=f"https://127.0.0.1:{server.server_port}") as sender:
            sender.put("a", "one")
            sender.step()
        server.shutdown()
        thread.join()
    assert ": check server_url; the logs are kept" in capsys.readouterr().err


# The system

NO_DESCRIPTORS = """
import resource

handler = configure(verify=os.environ["CA"], timeout=60)
log.info("first")
assert handler.flush(60)
log.info("cut")
while handler.stats().requests < 2:
    time.sleep(0.01)
time.sleep(0.5)  # The server cuts the connection, and the one after it: the next is opened a second later.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
while handler.stats().requests < 4:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert handler.flush(120)
"""


def test_no_descriptors_for_a_new_connection_is_no_wrong_setting(certificate: tuple[str, str]) -> None:
    script = [behaviours.answer(), behaviours.cut_after_body(), behaviours.cut_after_body()]
    with FaultyServer(script, tls=certificate) as server:
        ended = run(server, NO_DESCRIPTORS, CA=certificate[0])
        assert (ended.code, messages(server)) == (0, ["first", "cut"])
        assert "waiting will not help" not in ended.err
        assert "an error of its own" not in ended.err


# Addresses


def link_local() -> str | None:
    """An address of this machine that is of one interface only, with that interface."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, *_, name = line.split()
            if digits.startswith("fe80"):
                return f"{':'.join(digits[at : at + 4] for at in range(0, 32, 4))}%{name}"
    return None


class _SixServer(http.server.HTTPServer):
    address_family = socket.AF_INET6


@pytest.mark.parametrize("percent", ["%25", "%"])
def test_a_server_with_a_link_local_address_is_reached(percent: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = link_local()
    if address is None:
        pytest.skip("this machine has no link-local address")
    hosts: list[str] = []

    class Taking(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hosts.append(self.headers["Host"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "27")
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "count":1}')

        def log_message(self, *_: object) -> None:
            pass

    scoped: Any = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0][4]
    try:
        server = _SixServer(scoped, Taking)
    except OSError:
        pytest.skip("it cannot be listened on")
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        url = f"http://[{address.replace('%', percent)}]:{port}"
        with bench(server_url=url) as sender:
            sender.put("a", "one")
            sender.step()
            delivered = sender.stats().delivered
        code = main(["doctor", "--server-url", url])
        server.shutdown()
        thread.join()
    assert delivered == 1, capsys.readouterr().err
    assert hosts == [f"[{address.partition('%')[0]}]:{port}"] * 2, "the scope is of this machine alone"
    assert code == 0, capsys.readouterr().out
