"""`logcollector doctor`: checks whether a handler with given settings can deliver, and says what to do if not."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import BatchIds
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.failures import WrongSettingError
from logcollector_handler.delivery.pipeline import entry_builder, format_of
from logcollector_handler.delivery.resolver import address_of, plain_host
from logcollector_handler.delivery.route import proxy_of
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import NAMES, SettingError, Settings, load
from logcollector_handler.settings.environment import misspelt

from .check_tls import check_tls, wanted_certificate
from .configured import ConfigurationError, handlers_in
from .finding import FAILED, OK, SKIPPED, Finding, words

#: The names of the checks, in the order in which they run.
CHECKS = ("settings", "proxy", "name", "connection", "TLS", "authorization", "round trip", "clock", "spool")
#: Seconds by which the clocks of server and machine may differ.
CLOCK_LIMIT = 5.0


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
    shown = {"server_url": settings.server_url, **settings.changed()}
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
        yield from _round_trip(settings)


def _why(error: OSError, change: str) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"Nobody listens there: start the server, or correct the port in {change}."
    if isinstance(error, TimeoutError):
        return "A firewall may drop it, or the machine is off."
    return f"Look at the network between, or correct {change}."


# One record


def _round_trip(settings: Settings) -> Iterator[Finding]:
    clock = SystemClock()
    transport = HttpTransport(settings, format_of(settings), clock)
    start = clock.monotonic()
    try:
        answer = transport.post(BatchIds(clock.time()).draw(), probe_body(settings), False, settings.timeout)
    finally:
        transport.close()
    took = clock.monotonic() - start
    yield from judge(answer, settings, took)
    if answer.status is not None:
        yield clock_finding(answer.date, clock.time() - took / 2, took)


def probe_body(settings: Settings) -> bytes:
    """A batch of one record that fills every column."""
    message = "a test record of logcollector doctor"
    record = logging.LogRecord("logcollector.doctor", logging.DEBUG, __file__, 1, message, None, None, "doctor")
    record.__dict__.update(
        trace_id="0" * 32,
        user_id="doctor",
        session_id="doctor",
        error_type="None",
        stack_trace="none",
        path="/",
        method="GET",
        action_type="doctor",
        duration_ms=1.5,
        doctor=True,
    )
    wire = format_of(settings)
    return wire.join(wire.encode([entry_builder(settings).build(record)], settings.max_record_bytes))


def judge(answer: Answer, settings: Settings, took: float) -> Iterator[Finding]:
    """The findings for authorization and round trip that follow from the answer to the test record."""
    status = answer.status
    key = "the key is accepted" if settings.api_key else "no key is set or asked for"
    denied = ""
    if status in (401, 403):
        denied = "the key is not accepted" if settings.api_key else "the key is missing"
        denied += f" ({answer.detail}). Set api_key, or LOGCOLLECTOR_API_KEY."
    elif status == 407 or (answer.check == "proxy" and " 407 " in answer.detail):
        denied = f"the proxy wants a password ({answer.detail}). Put it into proxy, as in http://name:password@host."
    if denied:
        yield Finding("authorization", FAILED, denied)
        yield Finding("round trip", SKIPPED, "until authorization is well")
        return
    yield Finding("authorization", *((SKIPPED, "no answer came") if status is None else (OK, key)))
    advice = wanted_certificate(settings) if answer.check == "client_cert" else _advice(answer)
    if advice is not None:
        yield Finding("round trip", FAILED, f"{answer.detail}. {advice}")
    else:
        yield Finding("round trip", OK, f"a test record with every column was taken, in {took * 1000:.0f} ms")


def _advice(answer: Answer) -> str | None:
    """What to do about an answer; None if it is as it should be."""
    status = answer.status
    if answer.unusable:
        return f"No request gets there with these settings: correct {answer.check}."
    if status is None:
        return "The server takes connections but did not answer: look at its log, or raise timeout."
    if answer.foreign and (status in (408, 425, 429) or status >= 500):
        return "This is the page of a gateway, whose server is busy or away; the handler would try again. Try it too."
    if answer.foreign or status in (404, 405):
        return "This is some other server, or another path of it: correct host, port and path of server_url."
    if 300 <= status < 400:
        return "Redirects are not followed: set server_url to where it points, without /logs."
    if status in (400, 413, 415, 422):
        return "The server refuses what this version sends: its schema is another one, or it is some other server."
    if status in (408, 425, 429, 502, 503, 504):
        return "The server is busy or away; the handler would keep its logs and try again. Try this again too."
    if status >= 300:
        return "The server failed on it: look at its log. A database without one of the columns does that."
    if answer.count is None:
        return "It took the record but did not say how many: this may be some other server."
    return None if answer.count == 1 else "It took another number than the one that was sent: look at its log."


def clock_finding(date: str | None, now: float, took: float) -> Finding:
    """Compares the clock of this machine in the middle of the request (`now`) with the server's `Date` header."""
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return Finding("clock", SKIPPED, "the server does not tell its time")
    # The header has whole seconds, so half a second is added; and it was written at an unknown time of the request.
    apart = now - (there + 0.5)
    if abs(apart) <= CLOCK_LIMIT + took / 2 + 0.5:
        return Finding("clock", OK, f"{max(0.0, abs(apart) - 0.5):.0f} s from the server's")
    way = "ahead of" if apart > 0 else "behind"
    advice = "Records bear the time of this machine: set its clock, by NTP say, or that of the server."
    return Finding("clock", FAILED, f"{abs(apart):.0f} s {way} the server's. {advice}")


# The spool


def _spool(settings: Settings) -> Finding:
    if settings.spool_dir is None:
        return Finding("spool", SKIPPED, "no spool_dir: batches wait in memory, and do not survive the process")
    # Imported here, because the spool needs fcntl, which Windows does not have.
    from logcollector_handler.delivery.spool import destination, survey

    root = Path(settings.spool_dir)
    place = destination(settings.server_url)
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
    oldest = min((each.oldest for each in held if each.kind == "dead"), default=None)
    text = f"{root}: {waiting} batches wait, {free / 1e9:.1f} GB free"
    if refused:
        text += f", {refused} refused records in {root / place / 'dead'}"
    if oldest is not None:
        left = f"dead processes left some {max(0.0, time.time() - oldest):.0f} s ago"
        text += f"; {left}: the next process sends them, or logcollector spool replay {root}"
    return Finding("spool", OK, text)
