"""What an exception of the HTTP client, of TLS or of the system means: a setting is wrong, or it may pass by itself.

`in_setting` wraps what is read from a setting before a request; `setting_at_fault` judges what came of the request.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from collections.abc import Iterator
from typing import Final

import httpcore
import httpx

#: Errors of the system that have nothing to do with what was asked of it.
_PASSING: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO, errno.EINTR, errno.EAGAIN),
        *(errno.ESTALE, errno.ETIMEDOUT),
    }
)
#: Alerts of TLS by which a server says that it wants another certificate of the client, or one at all.
_WANTS_CLIENT_CERT: Final = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        # Up to TLS 1.2 a server that asks for a certificate and gets none says no more than this.
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
    }
)
#: What a handshake ends in with a server that speaks no TLS there, or none that this machine allows.
_NO_TLS_IN_COMMON: Final = frozenset(
    {
        *("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"),
        *("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_SHARED_CIPHER"),
        *("UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "DH_KEY_TOO_SMALL", "TLSV1_UNRECOGNIZED_NAME"),
        *("TLSV1_ALERT_INSUFFICIENT_SECURITY", "WRONG_SIGNATURE_TYPE", "BAD_SIGNATURE"),
    }
)
#: Answers of a proxy to CONNECT that may be others the next time.
_PROXY_IS_BUSY: Final = frozenset({408, 425, 429, *range(500, 600)})


class WrongSettingError(Exception):
    """No request can be made with what a setting says. The cause is why."""

    def __init__(self, setting: str, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.setting = setting


@contextlib.contextmanager
def in_setting(name: str) -> Iterator[None]:
    """Raise a WrongSettingError for an error in the block, unless it may pass by itself."""
    try:
        yield
    except Exception as error:
        if _may_pass(error):
            raise
        raise WrongSettingError(name, error) from error


def _may_pass(error: Exception) -> bool:
    if isinstance(error, MemoryError | ImportError):
        return True
    # The numbers of an SSLError are OpenSSL's own.
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno in _PASSING


def setting_at_fault(error: Exception) -> str | None:
    """The setting that a person must look at, because trying again will not help; None where it may help."""
    if isinstance(error, WrongSettingError):
        return error.setting
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpcore.UnsupportedProtocol | UnicodeError):
        return "server_url"
    if isinstance(error, httpx.LocalProtocolError | httpcore.LocalProtocolError):
        return "headers"
    if isinstance(error, httpcore.ProxyError):
        # "407 Proxy Authentication Required"
        status = str(error)[:3]
        return None if status.isdecimal() and int(status) in _PROXY_IS_BUSY else "proxy"
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "verify"
    if isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "reason", None)  # What is raised in Python has none.
        if reason in _WANTS_CLIENT_CERT:
            return "client_cert"
        if reason in _NO_TLS_IN_COMMON:
            return "server_url"
    return None


def _cause(error: Exception) -> Exception:
    """What httpcore made an error of its own of: it passes that on as the argument."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    return error
