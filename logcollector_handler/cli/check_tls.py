"""The check of TLS in `logcollector doctor`: certificates of the server, and one of the client where it wants one."""

from __future__ import annotations

import socket
import ssl

from logcollector_handler.delivery.failures import WrongSettingError, setting_at_fault
from logcollector_handler.delivery.resolver import without_scope
from logcollector_handler.delivery.route import ssl_context
from logcollector_handler.settings import Settings

from .finding import FAILED, OK, SKIPPED, Finding, words


def check_tls(settings: Settings, connection: socket.socket, host: str, port: int, *, direct: bool) -> Finding:
    """Agree with the server on TLS over a connection that was just made; `direct`: not over one to a proxy."""
    if not settings.server_url.startswith("https:"):
        return Finding("TLS", SKIPPED, "server_url is one of http")
    try:
        context = ssl_context(settings.verify, settings.client_cert)
    except (WrongSettingError, OSError) as error:
        setting = setting_at_fault(error) or "verify"
        what = "no certificates" if setting == "verify" else "no certificate with its key"
        reason = words(error.__cause__ or error)
        return Finding("TLS", FAILED, f"{getattr(settings, setting)} holds {what} ({reason}). Correct {setting}.")
    if not direct:
        return Finding("TLS", SKIPPED, "it goes through the proxy; the round trip shows it")
    try:
        with context.wrap_socket(connection, server_hostname=without_scope(host)) as secured:
            until = (secured.getpeercert() or {}).get("notAfter")
            checked = f"certificate valid until {until}" if until else "not verified, because verify is false"
            return Finding("TLS", OK, f"{secured.version()}, {checked}")
    except ssl.SSLCertVerificationError as error:
        return Finding("TLS", FAILED, f"the certificate is refused: {error.verify_message}. {remedy(error)}")
    except OSError as error:
        reason = getattr(error, "reason", None) or words(error)
        if setting_at_fault(error) == "client_cert":
            return Finding("TLS", FAILED, f"the server refuses this client ({reason}). {wanted_certificate(settings)}")
        advice = f"If {host}:{port} has no TLS, server_url is one of http."
        return Finding("TLS", FAILED, f"no TLS could be agreed on ({reason}). {advice}")


def wanted_certificate(settings: Settings) -> str:
    """What to do where the server wants a certificate of the client, or another one."""
    if settings.client_cert is None:
        return "It asks for a certificate of the client: set client_cert."
    return "It does not accept the certificate in client_cert: have one signed by a CA that it trusts."


def remedy(error: ssl.SSLCertVerificationError) -> str:
    """What to do about a certificate of the server that was not accepted."""
    # The numbers are from OpenSSL's x509_vfy.h: 2 and 18 to 21, the issuer is unknown; 9 and 10, the dates do not fit.
    if error.verify_code in (2, 18, 19, 20, 21):
        return "Set verify to the file with the certificate of its CA."
    if error.verify_code in (9, 10):
        return "Renew it, unless the clock of this machine is wrong."
    return "Call the server in server_url by a name that is in the certificate."
