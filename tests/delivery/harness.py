"""The harness of the delivery's tests: a clock that stands still until told, a network that answers from a script.

`batch_of` makes a batch from messages, and `Bench` is a sender with an outbox to fill. Nothing in here waits, and no
thread is started.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import Batch, make_batch
from logcollector_handler.delivery.clock import Wakeup
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.outbox import MemoryOutbox, Outbox
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.sender import Sender
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.compression import decompress
from logcollector_handler.wire.format import Format
from tests.bodies import entries_in

WIRE: Final[Format] = FORMATS["collector"]
NO_LOSSES: Final[Mapping[str, int]] = MappingProxyType({})


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
    wire: str = "collector"

    @property
    def entries(self) -> list[dict[str, Any]]:
        return entries_in(decompress(self.body) if self.compressed else self.body, self.wire)

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

    def __init__(self, *script: Callable[[Request], Answer], wire: str = "collector") -> None:
        self.script = list(script)
        self._wire = wire
        self.rule: Callable[[Request], Answer] = ok
        self.requests: list[Request] = []
        #: Messages in the order in which a remembering server stored them, each key once.
        self.stored: list[str] = []
        self._keys: set[str] = set()

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        request = Request(batch_id, body, compressed, seconds, self._wire)
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
    losses: Mapping[str, int] = NO_LOSSES,
    adopted: bool = False,
) -> Batch:
    """A batch of entries with these messages. With losses the first of them is the notice."""
    runs = WIRE.runs_of_lines([line(message) for message in messages])
    return make_batch(
        batch_id,
        WIRE.join(runs),
        len(messages),
        compressed=compressed,
        ordinal=ordinal,
        losses=losses,
        adopted=adopted,
    )


class CountingWakeup(Wakeup):
    """A flag that also counts how often it was set."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def set(self) -> None:
        self.count += 1
        super().set()


@dataclass
class Bench:
    """A sender on a bench: an outbox to fill, a clock to turn, a network to script."""

    settings: Settings = field(default_factory=Settings)
    clock: FakeClock = field(default_factory=FakeClock)
    transport: ScriptedTransport = field(default_factory=ScriptedTransport)
    #: Makes the outbox, from the bytes that it may hold and the ledger.
    make_outbox: Callable[[int, Ledger], Outbox] = MemoryOutbox

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.clock.monotonic)
        self.ledger = Ledger(self.clock)
        self.outbox = self.make_outbox(self.settings.max_buffer_bytes, self.ledger)
        self.idle = CountingWakeup()
        self.sender = Sender(
            settings=self.settings,
            wire=WIRE,
            outbox=self.outbox,
            connect=lambda: self.transport,
            ledger=self.ledger,
            reporter=self.reporter,
            clock=self.clock,
            idle=self.idle,
            chance=lambda: 0.5,
        )

    def put(self, batch_id: str, *messages: str, losses: Mapping[str, int] = NO_LOSSES) -> Batch:
        batch = batch_of(batch_id, *(["notice"] if losses else []), *messages, losses=losses)
        self.put_batch(batch)
        return batch

    def put_batch(self, batch: Batch) -> None:
        """As the listener does."""
        self.ledger.take(batch.count)
        self.outbox.put(batch)

    def stats(self) -> Stats:
        return self.ledger.snapshot(lambda: 0)

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
