"""The way to the server that the settings describe: certificates of TLS, and the proxy."""

from __future__ import annotations

import os
import ssl
import urllib.request

import httpcore
import httpx

from logcollector_handler.settings import Settings

from .failures import in_setting


def ssl_context(verify: bool | str, client_cert: str | tuple[str, str] | None = None) -> ssl.SSLContext:
    """What the settings of these names ask for.

    Raises:
        WrongSettingError: a file cannot be read, or does not hold what it should.
    """
    with in_setting("verify"):
        if isinstance(verify, bool):
            context = httpx.create_ssl_context(verify=verify)
        else:
            directory = os.path.isdir(verify)
            context = ssl.create_default_context(
                cafile=None if directory else verify, capath=verify if directory else None
            )
    if client_cert is not None:
        certificate, key = (client_cert, None) if isinstance(client_cert, str) else client_cert
        with in_setting("client_cert"):
            context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    """Called for a key that is encrypted. Without this OpenSSL would ask for the password on the terminal, and wait."""
    raise ValueError("the key is encrypted, and must not be")


def proxy_of(settings: Settings) -> httpcore.Proxy | None:
    """The proxy of the settings, else that of the environment unless its `no_proxy` names the server.

    Raises:
        WrongSettingError: the URL of the proxy or of the server is wrong, or the kind of the proxy is not supported.
    """
    found = proxy_url(settings)
    if found is None:
        return None
    with in_setting("proxy"):
        try:
            proxy = httpx.URL(found)
        except httpx.InvalidURL:
            # The error quotes from the URL, perhaps a part of the password.
            raise ValueError("the URL of the proxy cannot be read") from None
        if proxy.scheme not in ("http", "https"):
            raise ValueError(f"a proxy of the kind {proxy.scheme} is not supported: set proxy to one of HTTP")
        return httpcore.Proxy(
            url=str(proxy.copy_with(username=None, password=None)),
            auth=(proxy.username, proxy.password) if proxy.username else None,
            ssl_context=ssl_context(settings.verify) if proxy.scheme == "https" else None,
        )


def proxy_url(settings: Settings) -> str | None:
    """The URL of that proxy, with user and password if it has them.

    Raises:
        WrongSettingError: the URL of the server is wrong.
    """
    with in_setting("server_url"):
        url = httpx.URL(settings.server_url)
    found = settings.proxy
    port = url.port or (443 if url.scheme == "https" else 80)
    if found is None and not any(map(urllib.request.proxy_bypass, (url.host, f"{url.host}:{port}"))):
        proxies = urllib.request.getproxies()
        found = proxies.get(url.scheme) or proxies.get("all")
    if not found:
        return None
    return found if "://" in found else f"http://{found}"
