"""A clock that stands still until told, and a network that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from logcollector_handler.delivery.answer import Answer
from logcollector_handler.delivery.batch import Batch, make_batch
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.outbox import MemoryOutbox
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.sender import Sender
from logcollector_handler.settings import Settings
from logcollector_handler.wire.collector import decompress, join_lines


class FakeClock:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Request:
    """What the transport was asked to post."""

    key: str
    body: bytes
    compressed: bool
    seconds: float

    @property
    def entries(self) -> list[dict[str, Any]]:
        plain = decompress(self.body) if self.compressed else self.body
        logs: list[dict[str, Any]] = json.loads(plain)["logs"]
        return logs

    @property
    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.entries]


def ok(request: Request) -> Answer:
    return Answer(status=200, arrived=True, count=len(request.entries))


def status(code: int, **more: Any) -> Callable[[Request], Answer]:
    return lambda request: Answer(status=code, arrived=True, detail=f"HTTP {code}", **more)


def no_connection(request: Request) -> Answer:
    return Answer(detail="ConnectError: refused")


def answer_lost(request: Request) -> Answer:
    return Answer(arrived=True, detail="ReadTimeout")


def refusing(code: int, *poison: str) -> Callable[[Request], Answer]:
    """A server that answers so to each batch with one of these messages in it."""
    return lambda request: status(code)(request) if set(poison) & set(request.messages) else ok(request)


class ScriptedTransport:
    """Answers by `rule`, or first by the `script`, one of it a request."""

    def __init__(self, *script: Callable[[Request], Answer]) -> None:
        self.script = list(script)
        self.rule: Callable[[Request], Answer] = ok
        self.requests: list[Request] = []
        #: Messages in the order in which a remembering server stored them, each key once.
        self.stored: list[str] = []
        self._keys: set[str] = set()

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        request = Request(batch_id, body, compressed, seconds)
        self.requests.append(request)
        answer = (self.script.pop(0) if self.script else self.rule)(request)
        accepted = answer.status is not None and 200 <= answer.status < 300 and not answer.foreign
        if accepted and batch_id not in self._keys:
            self._keys.add(batch_id)
            self.stored += request.messages
        return answer

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def line(message: str) -> bytes:
    return json.dumps({"level": "INFO", "message": message, "created_at": 1.5, "log_type": "BACKEND"}).encode()


def batch_of(
    batch_id: str,
    *messages: str,
    compressed: bool = False,
    ordinal: int = 0,
    losses: Mapping[str, int] | None = None,
) -> Batch:
    """A batch of entries with these messages."""
    return make_batch(batch_id, join_lines(map(line, messages)), len(messages), compressed, ordinal, losses or {})


@dataclass
class Bench:
    """A sender on a bench: an outbox to fill, a clock to turn, a network to script."""

    settings: Settings = field(default_factory=Settings)
    clock: FakeClock = field(default_factory=FakeClock)
    transport: ScriptedTransport = field(default_factory=ScriptedTransport)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.clock.monotonic)
        self.ledger = Ledger(lambda: 0)
        self.outbox = MemoryOutbox(self.settings.max_buffer_bytes, lambda *gone: self.sender.give_up(*gone))
        self.idle = 0
        self.sender = Sender(
            settings=self.settings,
            outbox=self.outbox,
            connect=lambda: self.transport,
            ledger=self.ledger,
            reporter=self.reporter,
            clock=self.clock,
            on_idle=self._count_idle,
            chance=lambda: 0.5,
        )

    def _count_idle(self) -> None:
        self.idle += 1

    def put(self, batch_id: str, *messages: str, losses: Mapping[str, int] | None = None) -> Batch:
        batch = batch_of(batch_id, *(["notice"] if losses else []), *messages, losses=losses)
        self.ledger.take(batch.count)
        self.outbox.put(batch)
        return batch

    def step(self) -> float | None:
        return self.sender.step()

    def run(self, seconds: float = 0.0) -> None:
        """Let the sender work, and time pass, for that long."""
        end = self.clock.now + seconds
        for _ in range(100_000):
            delay = self.step()
            if delay == 0.0:
                continue
            if delay is None or self.clock.now + delay > end:
                self.clock.now = end
                return
            self.clock.advance(delay)
        raise AssertionError("the sender does not come to rest")

    @property
    def keys(self) -> list[str]:
        return [request.key for request in self.transport.requests]
