"""`logcollector doctor`: each check finds its fault and says what to do; no check fails without a fault."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.cli.check_tls import remedy
from logcollector_handler.cli.doctor import CHECKS
from logcollector_handler.cli.round_trip import clock_finding
from logcollector_handler.entry.model import COLUMNS
from logcollector_handler.testing import CollectorServer
from tests.cli.conftest import Run
from tests.cli.doctor.examined import Examined, real
from tests.delivery.spool.processes import Process, Writer
from tests.integration.behaviours import answer, hang, html_page, redirect, wrong_count
from tests.integration.faulty import FaultyServer


@real
def test_every_check_succeeds_when_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with CollectorServer(strict=True) as collector:
        examined = Examined(capsys, "--server-url", collector.url, "--spool-dir", str(tmp_path / "a" / "spool"))
        (entry,) = collector.entries
    assert examined.code == 0
    assert tuple(examined.lines) == CHECKS
    assert {examined[check] for check in CHECKS} == {"ok", "skipped"}
    assert examined["TLS"] == "skipped"
    assert "in memory" not in examined.out
    assert list(tmp_path.iterdir()) == [], "it looks, and makes nothing"
    # The test record fills every column, so that a column missing on the server is found.
    assert set(entry) == set(COLUMNS)
    assert "with every column" in examined.text("round trip")
    assert (entry["level"], entry["message"]) == ("DEBUG", "a test record of logcollector doctor")


@real
def test_a_port_without_a_listener_fails_the_connection_check(
    server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse()
    examined = Examined(capsys, "--server-url", server.url)
    examined.only("connection", f"127.0.0.1:{server.port}", "Connection refused", "start the server")
    assert examined["round trip"] == "skipped"


@real
def test_an_unknown_host_fails_the_name_check(capsys: pytest.CaptureFixture[str]) -> None:
    examined = Examined(capsys, "--server-url", "http://no-such-host.invalid")
    examined.only("name", "no-such-host.invalid is not found", "Correct server_url")
    assert examined.text("connection") == "until name is well"


@real
def test_a_certificate_of_an_unknown_ca_fails_the_tls_check(
    certificate: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyServer(tls=certificate) as server:
        Examined(capsys, "--server-url", server.url).only("TLS", "self-signed certificate", "Set verify to the file")
        assert server.stored == []
        examined = Examined(capsys, "--server-url", server.url, "--verify", certificate[0])
        assert (examined.code, examined["TLS"], len(server.stored)) == (0, "ok", 1)
        assert examined.text("TLS").startswith("TLSv1.3, certificate valid until ")


@real
def test_a_certificate_for_another_name_fails_the_tls_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    made, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=other.test"
    subprocess.run([openssl, *command.split(), "-out", made, "-keyout", key], check=True, capture_output=True)
    with FaultyServer(tls=(made, key)) as server:
        Examined(capsys, "--server-url", server.url, "--verify", made).only(
            "TLS", "by a name that is in the certificate"
        )


@real
def test_a_server_without_tls_fails_the_tls_check(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_TIMEOUT", "0.5")
    with CollectorServer() as collector:
        for url in (server.url, collector.url):
            examined = Examined(capsys, "--server-url", url.replace("http:", "https:"))
            examined.only("TLS", "no TLS could be agreed on", "server_url is one of http")


@real
@pytest.mark.parametrize(
    ("behaviour", "check", "words"),
    [
        (answer(401), "authorization", ["the key is missing", "Set api_key"]),
        (answer(403), "authorization", ["the key is missing"]),
        (html_page(), "round trip", ["an HTML page", "correct host, port and path"]),
        (answer(404), "round trip", ["HTTP 404", "correct host, port and path"]),
        (redirect("https://logs.test/logs"), "round trip", ["https://logs.test/logs", "Redirects are not followed"]),
        (answer(422), "round trip", ["its schema is another one"]),
        (answer(500), "round trip", ["look at its log"]),
        (answer(503), "round trip", ["busy or away"]),
        (answer(200, "{}"), "round trip", ["did not say how many"]),
        (wrong_count(7), "round trip", ["another number"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_answer_fails_its_check_with_advice(
    server: FaultyServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Any,
    check: str,
    words: list[str],
) -> None:
    server.default = behaviour
    Examined(capsys, "--server-url", server.url).only(check, *words)
    assert len(server.requests) == 1
    monkeypatch.setenv("LOGCOLLECTOR_API_KEY", "s3cr3t")
    examined = Examined(capsys, "--server-url", server.url)
    examined.only(check, *(word.replace("missing", "not accepted") for word in words))
    # Nothing is said of the key that the answer does not show.
    assert check == "authorization" or examined["authorization"] == "skipped"
    assert "the key is accepted" not in examined.out


@real
def test_a_server_that_does_not_answer_fails_the_round_trip(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_TIMEOUT", "0.3")
    server.default = hang()
    Examined(capsys, "--server-url", server.url).only("round trip", "no complete answer within 0.3 s", "raise timeout")


@real
def test_the_key_is_sent_and_never_shown(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_API_KEY", "s3cr3t")
    examined = Examined(capsys, "--server-url", server.url)
    assert examined.code == 0
    assert server.requests[0].headers["Authorization"] == "Bearer s3cr3t"
    server.default = answer(401, '{"error": "s3cr3t is no key"}')
    examined = Examined(capsys, "--server-url", server.url)
    examined.only("authorization", "the key is not accepted")
    assert "s3cr3t" not in examined.out
    examined = Examined(capsys, "--server-url", server.url.replace("//", "//me:pa55w0rd@"))
    assert "pa55w0rd" not in examined.out


@real
@pytest.mark.parametrize(("apart", "words"), [(3600, "behind"), (-3600, "ahead of")])
def test_clocks_that_differ_fail_the_clock_check(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], apart: float, words: str
) -> None:
    server.default = answer(headers={"Date": formatdate(time.time() + apart, usegmt=True)})
    Examined(capsys, "--server-url", server.url).only("clock", f"s {words} the server's", "set its clock")


@pytest.mark.parametrize(
    ("apart", "took", "status"),
    [(0.0, 0.0, "ok"), (4.9, 0.0, "ok"), (-4.9, 0.0, "ok"), (7.0, 0.0, "FAILED"), (-7.0, 0.0, "FAILED"), (7, 4, "ok")],
)
def test_rounding_and_duration_of_the_request_do_not_count_as_a_difference_of_clocks(
    apart: float, took: float, status: str
) -> None:
    now = 1_700_000_000.5
    assert clock_finding(formatdate(int(now - apart), usegmt=True), now, took).status == status


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_missing_or_broken_date_header_skips_the_clock_check(date: str | None) -> None:
    assert clock_finding(date, 0.0, 0.0).status == "skipped"


@pytest.mark.parametrize(("code", "words"), [(10, "Renew it"), (20, "Set verify"), (62, "by a name")])
def test_each_fault_of_a_certificate_gets_its_own_advice(code: int, words: str) -> None:
    error = ssl.SSLCertVerificationError("refused")
    error.verify_code = code
    assert words in remedy(error)


# The proxy


@real
def test_with_a_proxy_name_and_connection_checks_are_of_the_proxy(
    server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # A proxy for http receives the complete request, so the test server can play the proxy.
    proxy = f"http://me:s3cr3t@127.0.0.1:{server.port}"
    examined = Examined(capsys, "--server-url", "http://logs.invalid", "--proxy", proxy)
    assert examined.code == 0
    assert examined.text("proxy").startswith(f"127.0.0.1:{server.port}, from the settings")
    assert "s3cr3t" not in examined.out
    assert len(server.stored) == 1
    server.default = answer(407)
    examined = Examined(capsys, "--server-url", "http://logs.invalid", "--proxy", proxy)
    examined.only("authorization", "the proxy wants a password")
    server.refuse()
    examined = Examined(capsys, "--server-url", "http://logs.invalid", "--proxy", proxy)
    examined.only("connection", "the port in the proxy")


@real
def test_a_proxy_from_the_environment_is_named(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    examined = Examined(capsys, "--server-url", "http://logs.invalid")
    assert (examined.code, "from the environment" in examined.text("proxy")) == (0, True)


def test_a_proxy_or_a_url_that_cannot_be_used_fails_its_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Examined(capsys, "--server-url", "http://999.1.1.1").only("proxy", "999.1.1.1", "Correct server_url")
    monkeypatch.setenv("all_proxy", "socks5://me:hunter2@proxy.test")
    Examined(capsys, "--server-url", "http://logs.test").only("proxy", "socks5 is not supported", "Correct proxy")


# The spool


@real
def test_the_spool_check_counts_what_waits_in_the_spool(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = Process(tmp_path / "spool", url=server.url)
    left.put("one")
    left.put("two")
    left.outbox.bury(left.load(left.put("bad")))
    left.die()
    Writer(tmp_path / "spool", server.url).put("three")
    other = Process(tmp_path / "spool", url="http://other.test")
    other.put("not of this server")
    other.die()
    examined = Examined(capsys, "--server-url", server.url, "--spool-dir", str(tmp_path / "spool"))
    assert (examined.code, examined["spool"]) == (0, "ok")
    text = examined.text("spool")
    told = ("3 batches wait", "1 refused records", "spool replay", "handed over", "logcollector forward")
    assert [word for word in told if word not in text] == []
    os.chmod(left.outbox.directory, 0o755)
    Examined(capsys, "--server-url", server.url, "--spool-dir", str(tmp_path / "spool")).only("spool", "chmod 700")


@real
def test_a_spool_directory_that_cannot_exist_fails_the_spool_check(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "spool"):
        Examined(capsys, "--server-url", server.url, "--spool-dir", str(place)).only("spool", "cannot be written")


@real
@pytest.mark.skipif(sys.platform != "linux", reason="the change of user is written for Linux")
def test_a_spool_directory_that_cannot_be_written_fails_the_spool_check(server: FaultyServer, run: Run) -> None:
    # Root may write everywhere, so as root the test runs the command as another user.
    before = """
import os, logcollector_handler.cli.doctor, logcollector_handler.delivery.spool
if os.geteuid() == 0:
    os.seteuid(65534)
"""
    # Not in tmp_path, which pytest makes accessible to the current user only.
    with tempfile.TemporaryDirectory() as spool:
        os.chmod(spool, 0o555)
        ended = run("doctor", "--server-url", server.url, "--spool-dir", spool, before=before)
    assert ended.returncode == 1
    assert f"{spool} cannot be written (Permission denied). Give it to the user of this process" in ended.stdout
