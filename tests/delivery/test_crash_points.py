"""Killed after each single file operation: nothing that was accepted is missing, nothing comes under a second key.

A process does all that a process does with a spool: takes over what a dead one left, writes, sends, splits, buries,
sends without gzip, exits. It is killed after its first file operation, then, in another run, after its second, and so
on until a run completes; a write is also cut in half. After each an heir comes, and the server must have it all, once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery import batch as batch_module
from logcollector_handler.delivery import listener as listener_module
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.spool import LOOK_EVERY, SpoolOutbox
from logcollector_handler.delivery.spool import bodies as bodies_module
from tests.delivery.harness import WIRE, Request, no_connection, ok, status
from tests.delivery.pipelines import PipelineBench

pytestmark = pytest.mark.integration

_real_write = os.write
_real_pwrite = os.pwrite


@dataclass
class World:
    """What outlives a process besides the files: what the server stored, and what had been accepted."""

    stored: dict[str, list[str]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    logged: set[str] = field(default_factory=set)

    def hear(self, event: dict[str, Any]) -> None:
        what, key = event["what"], event.get("key", "")
        if what == "request":
            body = bytes.fromhex(event["body"])
            assert self.bodies.setdefault(key, body) == body, f"two bodies under {key}"
        elif what == "stored":
            self.stored.setdefault(key, event["messages"])
        elif what == "accepted":
            self.accepted += event["messages"]
        else:
            self.logged.add(event["message"])


class Program:
    """One process with a pipeline; whatever matters to the world is told at once."""

    def __init__(self, settings: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self.tell = tell
        self.rule: Callable[[Request], Answer] = ok
        self.by_record = settings["durability"] == "record"
        self.bench = PipelineBench(transport=self, **settings)
        self.clock = self.bench.clock
        self.pipeline = self.bench.pipeline

    # As the transport

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        request = Request(batch_id, body, compressed, seconds)
        self.tell({"what": "request", "key": batch_id, "body": body.hex()})
        refused = "poison" in " ".join(request.messages)
        answer = status(400)(request) if refused and self.rule is ok else self.rule(request)
        if answer.status == 200:
            self.tell({"what": "stored", "key": batch_id, "messages": request.messages})
        return answer

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    # As the application and its threads

    def log(self, *messages: str) -> None:
        for message in messages:
            self.tell({"what": "logged", "message": message})
            self.bench.log(message)
            if self.by_record:
                self.tell({"what": "accepted", "messages": [message]})
        self.clock.advance(100.0)
        self.bench.listen()
        while self.pipeline.queue:
            self.clock.advance(100.0)
            self.bench.listen()
        if not self.by_record:
            self.tell({"what": "accepted", "messages": list(messages)})

    def send(self) -> None:
        for _ in range(200):
            delay = self.pipeline.sender.step()
            if delay is None:
                return
            self.clock.advance(delay)
            if self.rule is not ok and delay:
                return

    def live(self) -> None:
        """All that a process does."""
        self.send()
        self.log("a0", "a1", "a2", "a3")
        self.send()
        self.rule = no_connection
        self.log("b0", "b1")
        self.log("b2", "poison", "b4")
        self.send()
        self.rule = lambda request: status(415)(request) if request.compressed else ok(request)
        self.send()
        self.rule = ok
        self.send()
        self.log("c0")
        self.pipeline.workers.begin_exit()
        self.pipeline.workers.finish_exit()


def in_a_process(
    settings: dict[str, Any], world: World, kill_after: int | None, act: Callable[[Program], None]
) -> bool:
    """Whether it came to its end before it was killed after so many file operations."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reader)
            if kill_after is not None:
                kill_after_operations(kill_after)
            act(Program(settings, lambda event: _tell(writer, event)))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as pipe:
        for line in pipe:
            world.hear(json.loads(line))
    _, end = os.waitpid(child, 0)
    assert end in (0, signal.SIGKILL), f"ended with {end}"
    return end == 0


def _tell(writer: int, event: dict[str, Any]) -> None:
    data = json.dumps(event).encode() + b"\n"
    assert _real_write(writer, data) == len(data)


def kill_after_operations(count: int) -> None:
    """From now on, in this process; a write counts as two: its first half, and the whole of it."""
    numbers = itertools.count(1)

    def done() -> None:
        if next(numbers) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            done()
            return result

        return call

    def write(descriptor: int, data: bytes) -> int:
        written = _real_write(descriptor, memoryview(data)[: len(data) // 2])
        done()
        written += _real_write(descriptor, memoryview(data)[written:])
        done()
        return written

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        half = len(data) // 2
        written = _real_pwrite(descriptor, memoryview(data)[:half], offset)
        done()
        written += _real_pwrite(descriptor, memoryview(data)[written:], offset + written)
        done()
        return written

    def open_file(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        descriptor = real_open(path, flags, *arguments, **options)
        if flags & os.O_CREAT:
            done()
        return descriptor

    real_open, os.open = os.open, open_file
    # The others change nothing that outlives a process.
    for name in ("mkdir", "rename", "unlink", "ftruncate"):
        setattr(os, name, deadly(getattr(os, name)))
    os.write = write  # type: ignore[assignment]  # as far as it is used
    os.pwrite = pwrite  # type: ignore[assignment]  # as above


def log_and_stop(program: Program) -> None:
    """A process that leaves everything behind: a batch, half of a split, an open file."""
    program.rule = no_connection
    program.log("old0", "old1", "old poison", "old2")
    program.send()
    program.rule = status(413)
    pipeline = program.pipeline
    assert isinstance(pipeline.outbox, SpoolOutbox)
    batch = pipeline.outbox.next()
    assert batch is not None
    batch = pipeline.outbox.load(batch)
    assert batch is not None
    pipeline.outbox._bodies.write(batch.halves(WIRE)[:1])
    if program.by_record:
        program.bench.log("old3")
        program.tell({"what": "accepted", "messages": ["old3"]})
        program.tell({"what": "logged", "message": "old3"})
    os.kill(os.getpid(), signal.SIGKILL)


def inherit(program: Program) -> None:
    for _ in range(3):
        program.send()
        program.clock.advance(LOOK_EVERY)
    program.pipeline.outbox.close()


@pytest.fixture(autouse=True)
def small_batches_are_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few records make every kind of file."""
    for module in (bodies_module, batch_module, listener_module):
        monkeypatch.setattr(module, "is_worth_compressing", lambda entries, size: entries >= 2)


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_killed_after_any_file_operation_nothing_is_missing_and_nothing_comes_twice(
    tmp_path: Path, durability: str
) -> None:
    settings = {"spool_dir": str(tmp_path / "spool"), "durability": durability, "batch_size": 4, "redact": ()}
    before = World()
    assert not in_a_process(settings, before, None, log_and_stop)
    (tmp_path / "spool").rename(tmp_path / "before")
    for point in itertools.count(1):
        world = deepcopy(before)
        shutil.rmtree(tmp_path / "spool", ignore_errors=True)
        shutil.copytree(tmp_path / "before", tmp_path / "spool")
        complete = in_a_process(settings, world, point, Program.live)
        for lock in [*(tmp_path / "spool").glob("*/*.new"), *(tmp_path / "spool").glob("*/*.left")]:
            os.utime(lock, (0, 0))  # The heir comes later.
        assert in_a_process(settings, world, None, inherit)
        judge(world, tmp_path / "spool", f"killed after operation {point}")
        if complete:
            break
    assert point > 50, "the program did little"


def leave(program: Program) -> None:
    """All that a process does which leaves its batches to others."""
    program.log("a0", "a1", "a2", "a3", "a4")
    program.log("b0")
    program.pipeline.workers.begin_exit()
    program.pipeline.workers.finish_exit()


@pytest.mark.parametrize(("killed", "durability"), [("writer", "batch"), ("writer", "record"), ("forwarder", "record")])
def test_killed_at_either_side_of_a_handover_nothing_is_missing_and_nothing_comes_twice(
    tmp_path: Path, killed: str, durability: str
) -> None:
    settings: dict[str, Any] = {"spool_dir": str(tmp_path / "spool"), "batch_size": 4, "redact": ()}
    writer = {**settings, "durability": durability, "deliver": False}
    forwarder = {**settings, "durability": "batch"}
    for point in itertools.count(1):
        world = World()
        shutil.rmtree(tmp_path / "spool", ignore_errors=True)
        complete = in_a_process(writer, world, point if killed == "writer" else None, leave)
        assert not world.bodies, "the writer posts nothing"
        if killed == "forwarder":
            complete = in_a_process(forwarder, world, point, inherit)
        for lock in [*(tmp_path / "spool").glob("*/*.new"), *(tmp_path / "spool").glob("*/*.left")]:
            os.utime(lock, (0, 0))  # The next one comes later.
        if (tmp_path / "spool").exists():
            assert in_a_process(forwarder, world, None, inherit)
        judge(world, tmp_path / "spool", f"killed after operation {point}")
        if complete:
            break
    assert point > 20, "the program did little"


def judge(world: World, spool: Path, when: str) -> None:
    messages = itertools.chain.from_iterable(world.stored.values())
    stored = Counter(message for message in messages if "were lost" not in message)
    dead: Counter[str] = Counter()
    for path in spool.glob("*/dead/*"):
        body = path.read_bytes()
        if path.suffix != ".tmp":
            dead.update(Request("", body, path.suffix == ".gz", 0.0).messages)
    assert set(world.accepted) - set(stored) - set(dead) == set(), f"{when}: missing"
    assert {message: count for message, count in stored.items() if count > 1} == {}, f"{when}: twice"
    assert set(stored) <= world.logged, f"{when}: invented"
    assert set(dead) <= {"poison", "old poison"}, f"{when}: dead"
    left = [path for path in spool.glob("*/*") if path.name not in ("dead", "usage")]
    assert left == [], when
    assert {path.name for path in spool.glob("*/usage/*")} <= {"dead"}, when
