"""The law of the pipeline: accepted = delivered + dropped + dead-lettered + pending, whatever happens.

A model logs, lets time pass, lets the server fail in every way of the table of answers, flushes, forks and
exits, in any order. After each step the counts add up, and every record that was accepted lies in exactly the
place where the counts say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logcollector_handler.delivery.answers import Answer
from tests.delivery.harness import (
    WIRE,
    FakeClock,
    Request,
    ScriptedTransport,
    answer_lost,
    no_connection,
    ok,
    status,
)
from tests.delivery.pipelines import PipelineBench, records_add_up

ANSWERS: dict[str, Callable[[Request], Answer]] = {
    "ok": ok,
    "refused connection": no_connection,
    "answer lost": answer_lost,
    "html": lambda request: Answer(status=200, arrived=True, foreign=True),
    "no client": lambda request: Answer(unusable=True),
    "retry after": status(429, retry_after="90"),
    **{str(code): status(code) for code in (302, 400, 401, 404, 413, 415, 422, 429, 500, 502, 503, 504)},
}


class StoringTransport(ScriptedTransport):
    """A server that remembers keys, and that may store a batch although its answer is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: frozenset[str] = frozenset()
        self.poison_code = 400
        self.store_lost = False

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        request = Request(batch_id, body, compressed, seconds)
        if self.rule is ok and self.poison & set(request.messages):
            self.requests.append(request)
            return status(self.poison_code)(request)
        if self.rule is answer_lost and self.store_lost:
            rule, self.rule = self.rule, ok
            super().post(batch_id, body, compressed, seconds)
            self.rule = rule
            return answer_lost(request)
        return super().post(batch_id, body, compressed, seconds)


class PipelineMachine(RuleBasedStateMachine):
    @initialize(
        queue=st.integers(1, 30),
        queue_bytes=st.sampled_from([1024, 8 * 1024, 64 * 1024 * 1024]),
        batch=st.integers(1, 12),
        overflow=st.sampled_from(["drop_oldest", "drop_newest"]),
        room=st.integers(2048, 16_000),
        retries=st.integers(0, 3),
        compression=st.booleans(),
    )
    def configure(
        self, queue: int, queue_bytes: int, batch: int, overflow: str, room: int, retries: int, compression: bool
    ) -> None:
        self.settings: dict[str, Any] = {
            "max_queue_size": queue,
            "max_queue_bytes": queue_bytes,
            "batch_size": batch,
            "overflow": overflow,
            "max_record_bytes": 1024,
            "max_batch_bytes": 2048,
            "max_buffer_bytes": room,
            "max_retries": retries,
            "enable_compression": compression,
            "redact": (),
        }
        self.clock = FakeClock()
        self.number = 0
        self.exiting = False
        self.open()

    def open(self) -> None:
        self.transport = StoringTransport()
        self.bench = PipelineBench(self.clock, self.transport, **self.settings)
        self.pipeline = self.bench.pipeline
        # Nobody waits 20 ms for a listener that is this same thread.
        self.pipeline.queue.is_stuck = True
        self.accepted: list[str] = []

    @rule(
        count=st.integers(1, 40),
        size=st.sampled_from([1, 10, 300, 5000]),
        level=st.sampled_from([20, 30, 40]),
    )
    def log(self, count: int, size: int, level: int) -> None:
        for _ in range(count):
            self.number += 1
            self.pipeline.queue.is_stuck = True
            self.bench.log(f"{self.number}-{'x' * size}", level=level)
            self.accepted.append(str(self.number))

    @rule(steps=st.integers(1, 5))
    def listen(self, steps: int) -> None:
        for _ in range(steps):
            self.bench.listen()

    @rule(steps=st.integers(1, 20))
    def send(self, steps: int) -> None:
        for _ in range(steps):
            if self.pipeline.sender.step() != 0.0:
                break

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 40.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=st.sampled_from(sorted(ANSWERS)), store_lost=st.booleans())
    def server_turns(self, name: str, store_lost: bool) -> None:
        self.transport.rule = ANSWERS[name]
        self.transport.store_lost = store_lost

    @rule(code=st.sampled_from([400, 413, 422, 500, 507]), data=st.data())
    def poison(self, code: int, data: st.DataObject) -> None:
        pending = [entry["message"] for entry in self.in_outbox()]
        if pending:
            self.transport.poison |= {data.draw(st.sampled_from(pending))}
            self.transport.poison_code = code

    @rule()
    def flush(self) -> None:
        dropped = self.pipeline.stats().dropped
        if self.pipeline.workers.flush(0.0):
            # True is a promise: all that was accepted is out, and nothing was dropped meanwhile.
            assert not self.in_queue()
            assert not self.in_outbox()
            assert self.pipeline.stats().dropped == dropped

    @precondition(lambda self: not self.exiting)
    @rule()
    def fork(self) -> None:
        """In the child: an empty pipeline, counts at zero, and nothing of the parent's in it."""
        self.pipeline.workers.abandon()
        self.open()
        assert self.pipeline.stats().accepted == 0

    @precondition(lambda self: not self.exiting)
    @rule()
    def exit(self) -> None:
        self.exiting = True
        self.pipeline.workers.begin_exit()
        self.pipeline.workers.finish_exit()
        assert self.pipeline.stats().pending == 0

    def in_queue(self) -> list[str]:
        return self.bench.queued

    def in_outbox(self) -> list[dict[str, Any]]:
        batches = list(self.pipeline.outbox._batches)  # type: ignore[attr-defined]  # the one in memory
        # The first entry of a batch with losses tells of them and is no record.
        return [json.loads(bytes(run.encoded)) for batch in batches for run in batch.runs(WIRE)[bool(batch.losses) :]]

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        stats = self.pipeline.stats()
        assert stats.accepted == len(self.accepted)
        assert records_add_up(stats), stats

    @invariant()
    def records_lie_where_the_counts_say(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        stats = self.pipeline.stats()
        pending = [number(each) for each in self.in_queue()] + [number(each["message"]) for each in self.in_outbox()]
        stored = [number(each) for each in self.transport.stored if "-" in each[:12]]
        assert stats.pending == len(pending)
        assert max(Counter(pending).values(), default=0) <= 1, "pending twice"
        assert max(Counter(stored).values(), default=0) <= 1, "stored twice"
        accepted = set(self.accepted)
        assert set(pending) <= accepted, "invented"
        assert set(stored) <= accepted, "invented"
        assert stats.delivered <= len(stored)

    @invariant()
    def memory_is_bounded(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        assert len(self.pipeline.queue) <= self.pipeline.queue.max_size
        # Half a KiB more for each record: the objects that it is made of. And one record that is larger than the queue,
        # or whose room was taken for others.
        sizes = [len(message) for message in self.bench.queued]
        assert sum(sizes) - max(sizes, default=0) <= self.settings["max_queue_bytes"]


def number(message: str) -> str:
    return message.partition("-")[0]


TestConservation = PipelineMachine.TestCase
TestConservation.settings = hypothesis_settings(max_examples=60, stateful_step_count=60, deadline=None)
