"""Which errors are of a setting, and which may pass: everything that the HTTP client, TLS and the system raise."""

from __future__ import annotations

import errno
import socket
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from logcollector_handler.delivery.answers import Answer, Verdict, classify
from logcollector_handler.delivery.failures import setting_at_fault
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from tests.delivery.harness import WIRE, FakeClock


def tls(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] something (_ssl.c:1006)")
    error.reason = reason
    return error


def system(number: int) -> OSError:
    return OSError(number, "the system's words")


#: Errors of a request, each as the HTTP client raises it, and the setting that it is about.
SENDING: list[tuple[Exception, str | None]] = [
    *((httpcore.ConnectError(system(each)), None) for each in errno.errorcode),
    (httpcore.ConnectError(socket.gaierror(socket.EAI_NONAME, "Name or service not known")), None),
    (httpcore.ConnectError("the name logs.test was not found"), None),
    *((kind("timed out"), None) for kind in (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout)),
    *((kind("timed out"), None) for kind in (httpcore.PoolTimeout, httpcore.TimeoutException)),
    *((kind(ConnectionResetError(104, "reset")), None) for kind in (httpcore.ReadError, httpcore.WriteError)),
    (httpcore.ReadError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), None),
    (httpcore.ConnectError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), None),
    (httpcore.ConnectError(ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF)")), None),
    (httpcore.ConnectError(tls("TLSV1_ALERT_INTERNAL_ERROR")), None),
    (httpcore.ReadError(tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")), None),
    (httpcore.RemoteProtocolError("Server disconnected without sending a response."), None),
    (httpcore.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0-OpenSSH')"), None),
    (httpcore.ConnectError(tls("CERTIFICATE_VERIFY_FAILED", ssl.SSLCertVerificationError)), "verify"),
    (httpcore.ConnectError(tls("WRONG_VERSION_NUMBER")), "server_url"),
    (httpcore.ConnectError(tls("RECORD_LAYER_FAILURE")), "server_url"),
    (httpcore.ConnectError(tls("TLSV1_ALERT_PROTOCOL_VERSION")), "server_url"),
    (httpcore.ConnectError(tls("SSLV3_ALERT_HANDSHAKE_FAILURE")), "client_cert"),
    (httpcore.ReadError(tls("TLSV13_ALERT_CERTIFICATE_REQUIRED")), "client_cert"),
    (httpcore.ReadError(tls("TLSV1_ALERT_UNKNOWN_CA")), "client_cert"),
    (httpcore.ReadError(tls("SSLV3_ALERT_CERTIFICATE_EXPIRED")), "client_cert"),
    (httpcore.ProxyError("407 Proxy Authentication Required"), "proxy"),
    (httpcore.ProxyError("403 Forbidden"), "proxy"),
    (httpcore.ProxyError("405 Method Not Allowed"), "proxy"),
    (httpcore.ProxyError("302 Found"), "proxy"),
    *((httpcore.ProxyError(f"{each} words"), None) for each in (408, 429, 500, 502, 503, 504)),
    (httpcore.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol."), "server_url"),
    (httpx.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol."), "server_url"),
    (httpx.InvalidURL("Invalid port"), "server_url"),
    (UnicodeError("label empty or too long"), "server_url"),
    (httpcore.LocalProtocolError("Illegal header value"), "headers"),
    (httpx.LocalProtocolError("Illegal header value"), "headers"),
    (ValueError("the answer is longer than 1048576 bytes"), None),
    (MemoryError(), None),
    (RuntimeError("can't start new thread"), None),
]


@pytest.mark.parametrize(("error", "setting"), SENDING, ids=lambda value: repr(value)[:60])
def test_an_error_of_a_request_is_of_a_setting_or_may_pass(error: Exception, setting: str | None) -> None:
    assert setting_at_fault(error) == setting


def test_the_table_holds_each_error_of_the_http_client() -> None:
    """A version of it with another one makes this fail, so that somebody sorts it."""
    kinds = {each for each in vars(httpcore).values() if isinstance(each, type) and issubclass(each, Exception)}
    above = {httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable}
    assert kinds - above <= {type(error) for error, _ in SENDING}


#: What reading a setting before a request can raise.
OPENING: list[tuple[str, Exception, str | None]] = [
    *(
        (name, error, setting)
        for name, setting in (("create_ssl_context", "verify"), ("Proxy", "proxy"))
        for error in (
            FileNotFoundError(2, "No such file or directory"),
            PermissionError(13, "Permission denied"),
            IsADirectoryError(21, "Is a directory"),
            tls("NO_CERTIFICATE_OR_CRL_FOUND"),
            ssl.SSLError(errno.EMFILE, "OpenSSL has numbers of its own"),
            ValueError("the URL of the proxy cannot be read"),
        )
    ),
    *(
        (name, error, None)
        for name in ("create_ssl_context", "Proxy")
        for error in (
            *map(system, (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)),
            MemoryError(),
            ImportError("sys.meta_path is None, Python is likely shutting down"),
        )
    ),
]


@pytest.mark.parametrize(("name", "error", "setting"), OPENING, ids=lambda value: repr(value)[:50])
def test_an_error_before_a_request_is_of_the_setting_that_was_read_or_may_pass(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, setting: str | None
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(httpx if name == "create_ssl_context" else httpcore, name, fail)
    answer = post(server_url="https://127.0.0.1:1", proxy="http://127.0.0.1:1")
    assert (answer.unusable, answer.check) == (setting is not None, setting)
    expected = Verdict.RETRY if setting is None else Verdict.CONFIGURATION
    assert classify(answer, compressed=False) is expected


def post(**settings: Any) -> Answer:
    sender = HttpTransport(replace(Settings(), **settings), WIRE, FakeClock())
    try:
        return sender.post("a", b'{"logs":[]}', False, 5.0)
    finally:
        sender.close()


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "getproxies", dict)


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str, str]] = {
    "the CA file holds none": (lambda file: {"verify": file}, "verify", "certificate"),
    "the client's certificate is none": (lambda file: {"client_cert": file}, "client_cert", "PEM"),
    "the URL of the server": (lambda file: {"server_url": "http://999.1.1.1"}, "server_url", "999.1.1.1"),
}


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("nothing of that kind")
    given, setting, words = WRONG[name]
    answer = post(**{"server_url": "https://127.0.0.1:1", **given(file)})
    assert (answer.unusable, answer.check) == (True, setting)
    assert words.lower() in answer.detail.lower()
