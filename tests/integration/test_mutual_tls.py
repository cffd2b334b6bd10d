"""Servers that want a certificate of the client: nginx, and TLS that refuses in the handshake. A CA is made for it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import SettingError
from logcollector_handler.delivery.answers import Answer, advice
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings, load
from tests import needed
from tests.cli.doctor.examined import Examined
from tests.delivery.harness import WIRE, Bench
from tests.integration.faulty import FaultyServer
from tests.integration.rig import SkippingClock
from tests.nginx import command as nginx_command

with needed.packages():
    import trustme

pytestmark = pytest.mark.integration

SERVER = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.pem;
        ssl_client_certificate {directory}/ca.pem;
        ssl_verify_client on;
        location / {{ proxy_pass {url}; }}
    }}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CA, a server and clients that it signed, and one that another CA signed."""
    directory = tmp_path_factory.mktemp("ca")
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    ca.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    client = ca.issue_cert("client@test.example")
    client.private_key_and_cert_chain_pem.write_to_path(directory / "client.pem")
    client.private_key_pem.write_to_path(directory / "client.key")
    for part in client.cert_chain_pems:
        part.write_to_path(directory / "client.crt")
    other.issue_cert("client@test.example").private_key_and_cert_chain_pem.write_to_path(directory / "other.pem")
    return directory


@pytest.fixture(scope="module")
def nginx(files: Path) -> Iterator[tuple[str, FaultyServer]]:
    """The URL of an nginx that wants a certificate of the client, and the server behind it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with FaultyServer() as server:
        made = nginx_command(files, SERVER.format(directory=files, port=port, url=server.url))
        with subprocess.Popen(made) as process:
            try:
                _wait_for(port, process)
                yield f"https://127.0.0.1:{port}", server
            finally:
                process.terminate()
                process.wait(60)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 60).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("nginx did not start")


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def strict(request: pytest.FixtureRequest, files: Path) -> Iterator[FaultyServer]:
    """A server that refuses in the handshake, or in TLS 1.3 right after it."""
    import ssl

    server = FaultyServer(tls=(str(files / "server.pem"), str(files / "server.pem")), client_ca=str(files / "ca.pem"))
    assert server._tls is not None
    server._tls.maximum_version = ssl.TLSVersion[request.param]
    with server:
        yield server


def post(url: str, files: Path, client_cert: Any = None) -> Answer:
    settings = replace(Settings(), server_url=url, verify=files / "ca.pem", client_cert=client_cert, timeout=60.0)
    transport = HttpTransport(settings, WIRE, SkippingClock())
    try:
        return transport.post("a", b'{"logs":[]}', False, 60.0)
    finally:
        transport.close()


def test_a_certificate_that_the_server_trusts_is_shown(files: Path, nginx: tuple[str, FaultyServer]) -> None:
    pair = [files / "client.crt", files / "client.key"]
    for given in (files / "client.pem", str(files / "client.pem"), pair, tuple(map(str, pair))):
        assert post(nginx[0], files, given).status == 200


def test_with_tls_alone_too(files: Path, strict: FaultyServer) -> None:
    assert post(strict.url, files, files / "client.pem").status == 200


@pytest.mark.parametrize("given", [None, "other.pem"], ids=["none", "of another CA"])
def test_a_server_that_wants_another_certificate_is_a_configuration_error_that_names_the_setting(
    files: Path, nginx: tuple[str, FaultyServer], given: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """nginx says so by a page with status 400: no record is at fault."""
    settings = replace(
        Settings(), server_url=nginx[0], verify=files / "ca.pem", client_cert=given and files / given, timeout=60.0
    )
    clock = SkippingClock()
    transport = HttpTransport(settings, WIRE, clock)
    bench = Bench(settings=settings, clock=clock, transport=transport)  # type: ignore[arg-type]
    bench.put("a", "one", "two")
    bench.run(120)
    transport.close()
    stats = bench.stats()
    assert (stats.pending, stats.dead_lettered, stats.delivered) == (2, 0, 0)
    (said,) = capsys.readouterr().err.splitlines()
    assert "waiting will not help (HTTP 400: an HTML page, 400 " in said
    assert "check client_cert" in said


@pytest.mark.parametrize("given", [None, "other.pem"], ids=["none", "of another CA"])
def test_a_refusal_in_the_handshake_names_the_setting_too(files: Path, strict: FaultyServer, given: str | None) -> None:
    answer = post(strict.url, files, given and files / given)
    assert advice(answer) == "check client_cert", answer


def test_http_to_a_port_of_tls_is_a_configuration_error_and_costs_no_record(
    files: Path, nginx: tuple[str, FaultyServer], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(Settings(), server_url=nginx[0].replace("https:", "http:"), timeout=60.0)
    clock = SkippingClock()
    transport = HttpTransport(settings, WIRE, clock)
    bench = Bench(settings=settings, clock=clock, transport=transport)  # type: ignore[arg-type]
    for number in range(25):
        bench.put(f"b{number}", f"m{number}")
    bench.run(600)
    transport.close()
    assert (bench.stats().pending, bench.stats().dead_lettered) == (25, 0)
    (said,) = capsys.readouterr().err.splitlines()
    assert "The plain HTTP request was sent to HTTPS port): check server_url" in said


def test_a_wrong_file_is_a_wrong_setting(files: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    for given in (missing, [str(files / "client.crt"), missing], [], [missing] * 3, [str(files / "ca.pem")], 7, ""):
        with pytest.raises(SettingError, match=r"client_cert is .*; allowed: the path of a PEM file"):
            load({"client_cert": given}, {})
    key = files / "client.key"
    encrypted = tmp_path / "encrypted.pem"
    encrypt = ["pkcs8", "-topk8", "-in", str(key), "-out", str(encrypted), "-passout", "pass:hunter2"]
    openssl = needed.program("openssl", "openssl")
    subprocess.run([openssl, *encrypt], check=True, capture_output=True)
    # A certificate without its key, a key of another, one that has a password: nobody is asked for that.
    pairs: list[Any] = [
        files / "client.crt",
        [files / "client.crt", files / "other.pem"],
        [files / "client.crt", encrypted],
    ]
    for pair in pairs:
        answer = post("https://127.0.0.1:9", files, pair)
        assert (answer.unusable, advice(answer)) == (True, "check client_cert")


def test_the_setting_comes_from_the_environment_as_a_path_or_as_json(files: Path) -> None:
    pair = [str(files / "client.crt"), str(files / "client.key")]
    assert load({}, {"LOGCOLLECTOR_CLIENT_CERT": str(files / "client.pem")}).client_cert == str(files / "client.pem")
    assert load({}, {"LOGCOLLECTOR_CLIENT_CERT": json.dumps(pair)}).client_cert == tuple(pair)
    for wrong in ("[", '["a"]', "missing.pem"):
        with pytest.raises(SettingError, match="LOGCOLLECTOR_CLIENT_CERT is"):
            load({}, {"LOGCOLLECTOR_CLIENT_CERT": wrong})


# The doctor


class Doctor:
    """Runs `logcollector doctor` with these files."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, files: Path, url: str, given: object
    ) -> None:
        monkeypatch.setenv("LOGCOLLECTOR_VERIFY", str(files / "ca.pem"))
        if given is not None:
            monkeypatch.setenv("LOGCOLLECTOR_CLIENT_CERT", str(given))
        self.examined = Examined(capsys, "--server-url", url)


WANTED = {
    None: "It asks for a certificate of the client: set client_cert.",
    "other.pem": "It does not accept the certificate in client_cert",
}


@pytest.mark.parametrize("given", [None, "other.pem"], ids=["none", "of another CA"])
def test_the_doctor_says_when_nginx_asks_for_a_certificate_or_refuses_it(
    files: Path,
    nginx: tuple[str, FaultyServer],
    given: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doctor = Doctor(capsys, monkeypatch, files, nginx[0], given and files / given)
    doctor.examined.only("round trip", "HTTP 400: an HTML page", WANTED[given])


@pytest.mark.parametrize("given", [None, "other.pem"], ids=["none", "of another CA"])
def test_the_doctor_says_when_tls_asks_for_a_certificate_or_refuses_it(
    files: Path,
    strict: FaultyServer,
    given: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examined = Doctor(capsys, monkeypatch, files, strict.url, given and files / given).examined
    assert examined.code == 1
    failed = [check for check in ("TLS", "round trip") if examined[check] == "FAILED"]
    assert len(failed) == 1
    assert WANTED[given] in examined.text(failed[0])


def test_the_doctor_names_a_file_that_is_no_certificate_with_a_key(
    files: Path, strict: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = Doctor(capsys, monkeypatch, files, strict.url, files / "client.crt").examined
    examined.only("TLS", "client.crt holds no certificate with its key", "Correct client_cert.")


def test_the_doctor_is_content_with_the_right_one(
    files: Path,
    nginx: tuple[str, FaultyServer],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Doctor(capsys, monkeypatch, files, nginx[0], files / "client.pem").examined.code == 0
