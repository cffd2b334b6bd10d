"""One request: what is sent, what is made of the answer, and what is never shown."""

from __future__ import annotations

import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

import httpcore
import pytest
import respx

from logcollector_handler import __version__
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.route import proxy_of, ssl_context
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.delivery.harness import WIRE, FakeClock

SETTINGS = replace(Settings(), server_url="http://logs.test/prefix", api_key="s3cret-key")


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url="http://logs.test/prefix", assert_all_called=False) as router:
        router.post("/logs").respond(json={"status": "ok", "count": 2})
        yield router


def post(settings: Settings = SETTINGS, body: bytes = b'{"logs":[]}', compressed: bool = False) -> Answer:
    transport = HttpTransport(settings, WIRE, FakeClock())
    try:
        return transport.post("the-id", body, compressed, 5.0)
    finally:
        transport.close()


def test_a_batch_is_posted_under_the_servers_prefix_with_its_headers(server: respx.MockRouter) -> None:
    answer = post()
    (call,) = server.calls
    assert str(call.request.url) == "http://logs.test/prefix/logs"
    assert call.request.content == b'{"logs":[]}'
    headers = call.request.headers
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "the-id"
    assert headers["user-agent"] == f"logcollector-handler/{__version__}"
    assert headers["authorization"] == "Bearer s3cret-key"
    assert "content-encoding" not in headers
    assert answer == Answer(status=200, arrived=True, count=2, detail='HTTP 200: {"status":"ok","count":2}')


def test_a_compressed_body_says_so(server: respx.MockRouter) -> None:
    post(body=b"\x1f\x8b", compressed=True)
    assert server.calls[0].request.headers["content-encoding"] == "gzip"


def test_without_a_key_there_is_no_authorization(server: respx.MockRouter) -> None:
    post(replace(SETTINGS, api_key=None))
    assert "authorization" not in server.calls[0].request.headers


def test_extra_headers_are_sent_but_do_not_change_what_the_contract_fixes(server: respx.MockRouter) -> None:
    given = {"X-Team": "a", "content-type": "text/plain", "authorization": "Basic x", "user-agent": "mine"}
    post(replace(SETTINGS, headers=given))
    headers = server.calls[0].request.headers
    assert headers["x-team"] == "a"
    assert headers.get_list("content-type") == ["application/json"]
    assert headers.get_list("authorization") == ["Bearer s3cret-key"]
    assert headers.get_list("user-agent") == ["mine"]


def test_each_request_has_the_headers_of_its_own_batch_once(server: respx.MockRouter) -> None:
    server.post("/logs").respond(200, headers={"Set-Cookie": "node=7"})
    transport = HttpTransport(replace(SETTINGS, headers={"X-Team": "a"}), WIRE, FakeClock())
    transport.post("one", b"\x1f\x8b\x08", True, 5.0)
    transport.post("two", b"{}", False, 5.0)
    transport.close()
    one, two = (call.request.headers for call in server.calls)
    names = ("idempotency-key", "content-length", "content-encoding", "x-team", "connection", "accept-encoding")
    assert [one.get_list(name) for name in names] == [["one"], ["3"], ["gzip"], ["a"], ["keep-alive"], ["identity"]]
    assert [two.get_list(name) for name in names] == [["two"], ["2"], [], ["a"], ["keep-alive"], ["identity"]]
    assert "cookie" not in two, "a batch belongs to no session"


def test_a_password_in_the_url_is_sent_as_a_header(server: respx.MockRouter) -> None:
    post(replace(SETTINGS, server_url="http://me:pa%20ss@logs.test/prefix", api_key=None))
    headers = server.calls[0].request.headers
    assert headers["authorization"] == "Basic " + b64encode(b"me:pa ss").decode()
    assert headers["host"] == "logs.test"


@pytest.mark.parametrize("status", [200, 204, 302, 400, 429, 500, 503])
def test_a_complete_answer_has_its_status(server: respx.MockRouter, status: int) -> None:
    server.post("/logs").respond(status, headers={"Retry-After": "7", "Location": "http://else.where/"})
    answer = post()
    assert answer.status == status
    assert answer.retry_after == "7"
    assert answer.count is None
    assert f"HTTP {status}" in answer.detail


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff\xfe", b'{"count": "many"}', b"null"])
def test_an_answer_that_is_not_what_we_know_has_no_count(server: respx.MockRouter, body: bytes) -> None:
    server.post("/logs").respond(200, content=body)
    answer = post()
    assert (answer.status, answer.count, answer.foreign) == (200, None, False)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"hello"),
        ("application/xhtml+xml", b"<?xml"),
        ("application/json", b"  <!DOCTYPE html><p>"),
        ("text/plain", b"<html>"),
        ("text/plain", b"\xef\xbb\xbf<HTML>"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 413, 500])
def test_an_html_page_is_foreign(server: respx.MockRouter, content_type: str, body: bytes, status: int) -> None:
    server.post("/logs").respond(status, content=body, headers={"Content-Type": content_type})
    answer = post()
    assert answer.foreign
    assert "HTML" in answer.detail


def page(title: str) -> str:
    return f"<html>\r\n<head><title>{title}</title></head><body></body></html>"


def test_of_a_page_people_are_told_the_title(server: respx.MockRouter) -> None:
    server.post("/logs").respond(503, html=page("503 Service Temporarily Unavailable"))
    assert post().detail == "HTTP 503: an HTML page, 503 Service Temporarily Unavailable"


@pytest.mark.parametrize(
    ("status", "title", "check"),
    [
        (400, "400 No required SSL certificate was sent", "client_cert"),
        (400, "400 The SSL certificate error", "client_cert"),
        (400, "400 The plain HTTP request was sent to HTTPS port", None),
        (200, "SSL certificates for all", None),
        (502, "The SSL certificate of the server", None),
    ],
)
def test_a_page_that_asks_for_a_certificate_of_the_client_names_the_setting(
    server: respx.MockRouter, status: int, title: str, check: str | None
) -> None:
    server.post("/logs").respond(status, html=page(title))
    assert post().check == check


def test_the_plain_word_of_a_port_of_tls_is_foreign_too(server: respx.MockRouter) -> None:
    server.post("/logs").respond(400, text="Client sent an HTTP request to an HTTPS server.\n")
    assert post().foreign


def test_a_refusal_in_json_is_the_word_of_the_server(server: respx.MockRouter) -> None:
    server.post("/logs").respond(400, json={"error": "<html> is no level"})
    assert not post().foreign


def test_a_redirect_is_not_followed(server: respx.MockRouter) -> None:
    server.post("/logs").respond(307, headers={"Location": "https://logs.test/logs"})
    answer = post()
    assert answer.status == 307
    assert "https://logs.test/logs" in answer.detail
    assert len(server.calls) == 1


def test_no_connection_means_that_nothing_arrived(server: respx.MockRouter) -> None:
    server.post("/logs").mock(side_effect=httpcore.ConnectError("refused"))
    answer = post()
    assert (answer.status, answer.arrived) == (None, False)
    assert "refused" in answer.detail


def test_an_answer_without_end_is_not_read_for_ever(server: respx.MockRouter) -> None:
    server.post("/logs").respond(200, content=b"x" * 1_100_000)
    answer = post()
    assert answer.status is None
    assert "longer than" in answer.detail


@pytest.mark.parametrize("status", [400, 401, 422, 500])
def test_of_a_refusal_that_is_long_the_status_counts(server: respx.MockRouter, status: int) -> None:
    """Frameworks echo the whole batch in their refusal of it."""
    server.post("/logs").respond(status, content=b"x" * 200_000)
    answer = post()
    assert answer.status == status
    assert f"HTTP {status}" in answer.detail


def test_an_answer_that_nests_too_deeply_has_no_count(server: respx.MockRouter) -> None:
    server.post("/logs").respond(200, content=b'{"count":' + b"[" * 30_000)
    answer = post()
    assert (answer.status, answer.count) == (200, None)


def test_a_secret_that_the_server_echoes_is_masked_and_the_detail_is_one_short_line(
    server: respx.MockRouter,
) -> None:
    server.post("/logs").respond(401, text="wrong key: s3cret-key\x1b[31m\n" + "more " * 100)
    detail = post().detail
    assert "s3cret" not in detail
    assert detail.isprintable()
    assert len(detail) <= 200


@pytest.mark.parametrize("proxy", ["http://me:hunter2@proxy.test:3128", "me:hunter2@proxy.test:3128"])
def test_the_password_of_a_proxy_of_the_environment_is_masked_too(
    server: respx.MockRouter, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": proxy})
    server.post("/logs").respond(407, text=f"who is Basic {b64encode(b'me:hunter2').decode()} with hunter2?")
    assert post().detail == "HTTP 407: who is Basic *** with ***?"


def test_the_value_of_a_header_that_the_server_echoes_is_masked(server: respx.MockRouter) -> None:
    server.post("/logs").respond(401, text="who is t0ken-of-a-header?")
    assert post(replace(SETTINGS, headers={"X-Token": "t0ken-of-a-header"})).detail == "HTTP 401: who is ***?"


def test_a_ca_file_that_is_none_makes_no_request(tmp_path: object) -> None:
    answer = post(replace(SETTINGS, server_url="https://localhost:8000", verify=__file__))
    assert answer.unusable
    assert "SSL" in answer.detail or "PEM" in answer.detail


def test_a_url_that_the_http_client_refuses_makes_no_request() -> None:
    answer = post(replace(SETTINGS, server_url="http://999.1.1.1"))
    assert answer.unusable
    assert "999.1.1.1" in answer.detail


def test_the_scope_of_an_address_is_sent_to_nobody() -> None:
    with respx.mock() as router:
        route = router.post(host="fe80::1%25eth0").respond(json={"status": "ok", "count": 0})
        post(replace(SETTINGS, server_url="http://[fe80::1%25eth0]:8000"))
    assert route.calls[0].request.headers["host"] == "[fe80::1]:8000"


def test_tls_is_verified_by_default_and_only_by_word_not() -> None:
    assert ssl_context(True).verify_mode is ssl.CERT_REQUIRED
    assert ssl_context(True).check_hostname
    assert ssl_context(False).verify_mode is ssl.CERT_NONE


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_without_a_proxy_there_is_none(no_proxies: pytest.MonkeyPatch) -> None:
    assert proxy_of(SETTINGS) is None


def test_the_proxy_of_the_environment_is_honoured_and_no_proxy_too(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("http_proxy", "http://proxy.test:3128")
    found = proxy_of(SETTINGS)
    assert found is not None
    assert found.url.host == b"proxy.test"
    no_proxies.setenv("no_proxy", "logs.test")
    assert proxy_of(SETTINGS) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://logs.test", "logs.test:80"),
        ("https://logs.test", "logs.test:443"),
        ("http://[::1]:8000", "::1"),
    ],
)
def test_no_proxy_can_name_a_port(no_proxies: pytest.MonkeyPatch, url: str, no_proxy: str) -> None:
    no_proxies.setenv("all_proxy", "http://proxy.test:3128")
    no_proxies.setenv("no_proxy", no_proxy)
    assert proxy_of(replace(SETTINGS, server_url=url)) is None
    no_proxies.setenv("no_proxy", "logs.test:1")
    assert proxy_of(replace(SETTINGS, server_url=url)) is not None


def test_a_proxy_of_another_kind_is_a_wrong_setting_and_no_outage(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("all_proxy", "socks5://proxy.test:1080")
    answer = post()
    assert answer.unusable
    assert "socks5" in answer.detail


def test_the_proxy_of_the_settings_wins_and_its_password_is_sent_as_a_header(
    no_proxies: pytest.MonkeyPatch,
) -> None:
    no_proxies.setenv("http_proxy", "http://other.test")
    found = proxy_of(replace(SETTINGS, proxy="http://me:pass@proxy.test:3128"))
    assert found is not None
    assert found.url.host == b"proxy.test"
    assert found.auth == (b"me", b"pass")
