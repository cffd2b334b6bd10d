"""`logcollector doctor`: checks whether a handler with given settings can deliver, and says what to do if not."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from logcollector_handler.delivery.failures import WrongSettingError
from logcollector_handler.delivery.resolver import address_of, plain_host
from logcollector_handler.delivery.route import proxy_of
from logcollector_handler.settings import NAMES, SettingError, Settings, load
from logcollector_handler.settings.environment import misspelt

from .check_tls import check_tls
from .configured import ConfigurationError, handlers_in
from .finding import FAILED, OK, SKIPPED, Finding, words
from .round_trip import round_trip

#: The names of the checks, in the order in which they run.
CHECKS = ("settings", "proxy", "name", "connection", "TLS", "authorization", "round trip", "clock", "spool")


def run(options: argparse.Namespace) -> int:
    """Run the checks for each handler; 0 if none failed, 1 if one failed, 2 if the settings are wrong."""
    given = {name: value for name, value in vars(options).items() if name in NAMES and value is not None}
    try:
        handlers = {"": given} if options.config is None else handlers_in(options.config)
        loaded = {name: load({**arguments, **given}) for name, arguments in handlers.items()}
    except (ConfigurationError, SettingError) as error:
        print(f"logcollector doctor: {error}", file=sys.stderr)
        return 2
    well = True
    for name, settings in loaded.items():
        if name:
            print(f"Handler {name}:")
        well &= _report(settings)
    return 0 if well else 1


def _report(settings: Settings) -> bool:
    """Print a line for each check; True if none failed."""
    seen: dict[str, str] = {}
    for finding in examine(settings):
        seen[finding.check] = finding.status
        print(f"  {finding.check:<14} {finding.status:<8} {settings.mask(finding.text)}")
    return FAILED not in seen.values()


def examine(settings: Settings) -> Iterator[Finding]:
    """Run all checks, skipping those that a failed one makes impossible."""
    yield _settings(settings)
    seen = []
    for finding in _reach(settings):
        seen.append(finding)
        yield finding
    for check in CHECKS[1 : CHECKS.index("spool")]:
        if check not in {finding.check for finding in seen}:
            yield Finding(check, SKIPPED, f"until {seen[-1].check} is well")
    yield _spool(settings)


def _settings(settings: Settings) -> Finding:
    shown = {"server_url": settings.server_url, "wire": settings.wire, **settings.changed()}
    text = f"{', '.join(f'{name} {value}' for name, value in shown.items())}; all else by default"
    if not settings.enabled:
        text += ". The handler sends nothing, because enabled is false"
    wrong = misspelt()
    if wrong:
        return Finding("settings", FAILED, f"{'. '.join(wrong)}. In use: {text}")
    return Finding("settings", OK, text)


# The way to the server


def _reach(settings: Settings) -> Iterator[Finding]:
    """Check the way to the server step by step, up to the first failure."""
    url = urlsplit(settings.server_url)
    host, port = plain_host(url.hostname or ""), url.port or (443 if url.scheme == "https" else 80)
    try:
        proxy = proxy_of(settings)
    except WrongSettingError as error:
        yield Finding("proxy", FAILED, f"{error}. Correct {error.setting}, or the variables of the environment.")
        return
    whence = "the environment" if settings.proxy is None else "the settings"
    if proxy is None:
        yield Finding("proxy", OK, "none is used")
    else:
        host, port = (
            plain_host(proxy.url.host.decode()),
            proxy.url.port or (443 if proxy.url.scheme == b"https" else 80),
        )
        yield Finding("proxy", OK, f"{host}:{port}, from {whence}; the next two checks are of it")

    change = "server_url" if proxy is None else "the proxy"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        yield Finding("name", FAILED, f"{host} is not found ({words(error)}). Correct {change}, or the DNS.")
        return
    yield Finding("name", OK, f"{host} is {', '.join(dict.fromkeys(address_of(each[4]) for each in found))}")

    try:
        connection = socket.create_connection((host, port), settings.timeout)
    except OSError as error:
        yield Finding("connection", FAILED, f"{host}:{port} cannot be reached ({words(error)}). {_why(error, change)}")
        return
    with connection:
        yield Finding("connection", OK, f"{host}:{port} takes connections")
        tls = check_tls(settings, connection, host, port, direct=proxy is None)
    yield tls
    if tls.status != FAILED:
        yield from round_trip(settings)


def _why(error: OSError, change: str) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"Nobody listens there: start the server, or correct the port in {change}."
    if isinstance(error, TimeoutError):
        return "A firewall may drop it, or the machine is off."
    return f"Look at the network between, or correct {change}."


# The spool


def _spool(settings: Settings) -> Finding:
    if settings.spool_dir is None:
        return Finding("spool", SKIPPED, "no spool_dir: batches wait in memory, and do not survive the process")
    # Imported here, because the spool needs fcntl, which Windows does not have.
    from logcollector_handler.delivery.spool import destination, survey

    root = Path(settings.spool_dir)
    place = destination(settings.server_url, settings.wire)
    directory = next(each for each in (root / place, root, *root.parents) if os.path.lexists(each))
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
        held = [each for each in survey(root) if each.destination == place] if root.exists() else []
        free = shutil.disk_usage(directory).free
    except OSError as error:
        advice = "Give it to the user of this process, or set another spool_dir."
        return Finding("spool", FAILED, f"{directory} cannot be written ({words(error)}). {advice}")
    if directory == root / place and stat.S_IMODE(directory.stat().st_mode) & 0o077:
        return Finding("spool", FAILED, f"others can get into {directory}, where logs lie. Do: chmod 700 {directory}")
    waiting = sum(each.files for each in held if each.kind != "refused")
    refused = sum(each.files for each in held if each.kind == "refused")
    oldest = {each.kind: max(0.0, time.time() - each.oldest) for each in held}
    text = f"{root}: {waiting} batches wait, {free / 1e9:.1f} GB free"
    if refused:
        text += f", {refused} refused records in {root / place / 'dead'}"
    if "dead" in oldest:
        left = f"dead processes left some {oldest['dead']:.0f} s ago"
        text += f"; {left}: the next process sends them, or logcollector spool replay {root}"
    if "handed over" in oldest:
        text += f"; some were handed over {oldest['handed over']:.0f} s ago: logcollector forward {root} sends them"
    return Finding("spool", OK, text)
