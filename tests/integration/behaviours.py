"""What a faulty server can do to one request: answer, lie, stall or cut the connection.

What belongs here: the description of a fault, as a value. What carries it out is `faulty.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from typing import Literal


@dataclass(frozen=True)
class Behaviour:
    """What happens to one request, in the order of the fields. Made by the functions below."""

    #: Seconds to wait before each piece of the body is read, and the size of a piece in bytes.
    read_delay: float = 0.0
    read_piece: int = 65536
    #: Cuts the connection when this share of the body was read (0.0: none of it); None reads it all.
    cut_in_body: float | None = None
    #: Answers before that cut, as a server does that has seen enough.
    answer_early: bool = False
    hang: Literal["no", "before storing", "after storing"] = "no"
    hang_until: threading.Event | None = None
    store: bool = False
    #: Cuts the connection instead of answering.
    drop_answer: bool = False
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    #: None: `{"status": "ok", "count": n}` for a 2xx, an error object otherwise.
    body: bytes | None = None
    #: None: the count of the entries in the request.
    count: int | None = None
    #: Seconds to wait before each byte of the answer, status line and headers included.
    trickle: float = 0.0
    #: Bytes at the end of the answer that are announced, but not sent.
    withhold: int = 0
    close: bool = False


def answer(
    status: int = 200,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    *,
    close: bool = False,
) -> Behaviour:
    """Answers; a 2xx stores the batch first. `close` closes the connection after the answer."""
    return Behaviour(
        store=200 <= status < 300,
        status=status,
        headers=tuple((headers or {}).items()),
        content_type=content_type,
        body=body.encode() if isinstance(body, str) else body,
        close=close,
    )


def store_then_answer(status: int) -> Behaviour:
    """Stores the batch and then answers `status`, as a proxy does whose upstream was slow to say so."""
    return Behaviour(store=True, status=status)


def cut_before_body() -> Behaviour:
    """Cuts the connection when the headers were read. (A rule that looked at the body has read it.)"""
    return Behaviour(cut_in_body=0.0)


def answer_early(status: int) -> Behaviour:
    """Answers when the headers were read, and closes the connection without reading the body."""
    return Behaviour(cut_in_body=0.0, answer_early=True, status=status, close=True)


def cut_during_body() -> Behaviour:
    """Cuts the connection when half of the body was read."""
    return Behaviour(cut_in_body=0.5)


def cut_after_body() -> Behaviour:
    """Reads the whole request, stores nothing and cuts the connection."""
    return Behaviour(drop_answer=True)


def cut_after_storing() -> Behaviour:
    """Stores the batch and cuts the connection: the answer is lost."""
    return Behaviour(store=True, drop_answer=True)


def truncated_answer() -> Behaviour:
    """Stores the batch, announces an answer and closes the connection before its last byte."""
    return Behaviour(store=True, withhold=1)


def trickle(seconds: float, status: int = 200) -> Behaviour:
    """Answers one byte every `seconds`, from the first byte of the status line. A 2xx stores first."""
    return Behaviour(store=200 <= status < 300, status=status, trickle=seconds)


def hang(until: threading.Event | None = None, *, stored: bool = False) -> Behaviour:
    """Is silent after the request, until the server is closed or `until` is set; then stores and answers 200.

    With `stored` the batch is stored before the silence.
    """
    return Behaviour(store=True, hang="after storing" if stored else "before storing", hang_until=until)


def slow_read(seconds: float, piece: int = 1024) -> Behaviour:
    """Reads the body in pieces of `piece` bytes, `seconds` before each; then stores and answers 200."""
    return Behaviour(store=True, read_delay=seconds, read_piece=piece)


def wrong_count(count: int) -> Behaviour:
    """Stores the batch and claims another count."""
    return Behaviour(store=True, count=count)


def html_page() -> Behaviour:
    """Answers 200 with a web page: some other server. Stores nothing."""
    return Behaviour(content_type="text/html", body=b"<!doctype html><title>It works!</title>")


def redirect(location: str, status: int = 307) -> Behaviour:
    """Sends the client to `location`. Stores nothing."""
    return answer(status, headers={"Location": location})


def retry_after(when: int | datetime, status: int = 503) -> Behaviour:
    """Asks to come back in `when` seconds, or (a timezone-aware datetime) at that date, to the second."""
    value = str(when) if isinstance(when, int) else formatdate(when.timestamp(), usegmt=True)
    return answer(status, headers={"Retry-After": value})
