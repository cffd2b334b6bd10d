"""The checks of `logcollector doctor` that send a test record: of the key, of the record and of the clock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import BatchIds
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.pipeline import entry_builder, format_of
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings

from .check_tls import wanted_certificate
from .finding import FAILED, OK, SKIPPED, Finding

#: Seconds by which the clocks of server and machine may differ.
CLOCK_LIMIT: Final = 5.0
#: Sent to see whether the server looks at keys.
_WRONG_KEY: Final = "a-wrong-key-of-logcollector-doctor"


def round_trip(settings: Settings) -> Iterator[Finding]:
    """Send a test record, and say what its answer means for the key, the record and the clock."""
    clock = SystemClock()
    batch_id = BatchIds(clock.time()).draw()
    message = "a test record of logcollector doctor"
    if settings.wire != "collector":
        # So that a person finds this one among those of other days.
        message += f", {batch_id}"
    body = _probe(settings, message)

    def post(with_settings: Settings) -> Answer:
        transport = HttpTransport(with_settings, format_of(with_settings), clock)
        try:
            return transport.post(batch_id, body, False, settings.timeout)
        finally:
            transport.close()

    start = clock.monotonic()
    answer = post(settings)
    took, now = clock.monotonic() - start, clock.time()
    without = _without_key(settings)
    # Only a server that takes the record with the right key shows anything by what it does with a wrong one. It is
    # sent the same batch, which it stores once if it knows the key of the batch.
    other = post(without) if without is not None and _advice(answer, settings) is None else None
    yield from _judge(answer, other, settings, f"{took * 1000:.0f} ms", message)
    if answer.status is not None:
        yield clock_finding(answer.date, now - took / 2, took)


def _without_key(settings: Settings) -> Settings | None:
    """The settings with a wrong key, or without the password in them; None if there is neither."""
    if settings.api_key is not None:
        return replace(settings, api_key=_WRONG_KEY)
    url = urlsplit(settings.server_url)
    if url.username is not None:
        return replace(settings, server_url=url._replace(netloc=url.netloc.rpartition("@")[2]).geturl())
    others = {name: value for name, value in settings.headers.items() if name.lower() != "authorization"}
    return replace(settings, headers=others) if len(others) < len(settings.headers) else None


def _probe(settings: Settings, message: str) -> bytes:
    """A batch of one record that fills every column."""
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
        service=settings.service or "doctor",
    )
    wire = format_of(settings)
    return wire.join(wire.encode([entry_builder(settings).build(record)], settings.max_record_bytes))


def _judge(answer: Answer, other: Answer | None, settings: Settings, took: str, message: str) -> Iterator[Finding]:
    """What follows from the answer to the test record, and from that to the same one with a wrong key."""
    status = answer.status
    denied = ""
    if status in (401, 403):
        denied = "the key is missing" if _without_key(settings) is None else "the key is not accepted"
        denied += f" ({answer.detail}). Set api_key, or LOGCOLLECTOR_API_KEY."
    elif status == 407 or (answer.check == "proxy" and " 407 " in answer.detail):
        denied = f"the proxy wants a password ({answer.detail}). Put it into proxy, as in http://name:password@host."
    if denied:
        yield Finding("authorization", FAILED, denied)
        yield Finding("round trip", SKIPPED, "until authorization is well")
        return
    advice = wanted_certificate(settings) if answer.check == "client_cert" else _advice(answer, settings)
    if advice is not None:
        unknown = "no answer came" if status is None else "this answer does not show whether the server wants a key"
        yield Finding("authorization", SKIPPED, unknown)
        yield Finding("round trip", FAILED, f"{answer.detail}. {advice}")
        return
    yield _authorization(other, settings)
    if answer.count is None:
        text = (
            f"by wire {settings.wire} the answer came in {took}: HTTP {answer.status}. It does not prove that the "
            f"record is stored: look there for the message {message!r}, of level DEBUG"
            + (f". The server says: {answer.why}" if answer.why else "")
        )
    else:
        text = f"a test record with every column was taken by wire {settings.wire}, in {took}"
    yield Finding("round trip", OK, text)


def _authorization(other: Answer | None, settings: Settings) -> Finding:
    """The finding for a record that was taken, by the answer to the same one with a wrong key, if there is a key."""
    if other is None and settings.wire != "collector" and (settings.headers or "?" in settings.server_url):
        # Engines have headers and parameters of their own for keys.
        return Finding("authorization", SKIPPED, "only what headers and the query of server_url say was tried")
    if other is None:
        return Finding("authorization", OK, "no key is set or asked for")
    if other.status in (401, 403):
        return Finding("authorization", OK, "the key is accepted, and a wrong one is not")
    if _advice(other, settings) is None:
        return Finding("authorization", OK, "the server looks at no key: it takes a wrong one, too")
    return Finding(
        "authorization", SKIPPED, f"with a wrong key the answer does not show whether it looks at keys ({other.detail})"
    )


def _advice(answer: Answer, settings: Settings) -> str | None:
    """What to do about an answer; None if it is as it should be."""
    status = answer.status
    wire = format_of(settings)
    if answer.unusable:
        return f"No request gets there with these settings: correct {answer.check}."
    if status is None:
        return "The server takes connections but did not answer: look at its log, or raise timeout."
    if answer.foreign and (status in (408, 425, 429) or status >= 500):
        return "This is the page of a gateway, whose server is busy or away; the handler would try again. Try it too."
    if answer.foreign or status in (404, 405):
        if wire.takes_whole_url:
            return "This is some other server or path, or lacks what server_url names, as a table: correct one of them."
        return "This is some other server, or another path of it: correct host, port and path of server_url."
    if 300 <= status < 400:
        appended = wire.url(settings.server_url, "").removeprefix(settings.server_url)
        without = f", without {appended}" if appended and not wire.takes_whole_url else ""
        return f"Redirects are not followed: set server_url to where it points{without}."
    if status in (400, 413, 415, 422):
        if settings.wire != "collector":
            return f"The server refuses it: it may not take wire {settings.wire} there, or lack a column."
        return "The server refuses what this version sends: its schema is another one, or it is some other server."
    if status in (408, 425, 429, 502, 503, 504):
        return "The server is busy or away; the handler would keep its logs and try again. Try this again too."
    if status >= 300:
        return "The server failed on it: look at its log. A database without one of the columns does that."
    if answer.rejected:
        return f"It answered that it rejected the record ({answer.why or 'without a reason'}): look at its log."
    if answer.count is None:
        if settings.wire != "collector":
            return None
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
