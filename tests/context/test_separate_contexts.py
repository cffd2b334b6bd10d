"""Each task, thread and copied context has bound fields of its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from logcollector_handler import LogCollectorHandler, bind_context, log_context
from logcollector_handler.testing import CapturingHandler, CollectorServer
from tests.capturing import fields
from tests.context.logged import log, logged

#: Whether a thread starts with a copy of the context in which it is started, as it does without the interpreter lock.
INHERITED = bool(getattr(sys.flags, "thread_inherit_context", False))


def test_tasks_start_with_the_fields_of_their_creator_and_do_not_share_their_own(handler: CapturingHandler) -> None:
    async def request(number: int) -> None:
        bind_context(user_id=number)
        for _ in range(3):
            await asyncio.sleep(0)
            log.info("in %d", number)
        await asyncio.to_thread(log.info, "in %d", number)

    async def main() -> None:
        bind_context(region="eu")
        await asyncio.gather(*map(request, range(10)))
        log.info("outside")

    asyncio.run(main())
    *inside, outside = handler.entries
    assert len(inside) == 40
    assert {entry["message"] == f"in {entry['user_id']}" for entry in inside} == {True}
    assert {fields(entry)["region"] for entry in handler.entries} == {"eu"}
    assert "user_id" not in outside
    assert fields(logged(handler)) == {}


def test_fields_bound_in_a_thread_stay_there_and_a_new_thread_starts_as_the_interpreter_says(
    handler: CapturingHandler,
) -> None:
    here, go_on = threading.Event(), threading.Event()

    def work() -> None:
        log.info("new")
        with log_context(user_id=2):
            here.set()
            go_on.wait(60)
            log.info("bound")

    bind_context(user_id=1)
    thread = threading.Thread(target=work)
    thread.start()
    assert here.wait(60)
    log.info("main")
    go_on.set()
    thread.join()
    assert [(each["message"], each.get("user_id")) for each in handler.entries] == [
        ("new", "1" if INHERITED else None),
        ("main", "1"),
        ("bound", "2"),
    ]


def test_work_run_in_a_copy_of_the_context_logs_its_fields(handler: CapturingHandler) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with log_context(user_id=1):
            pool.submit(contextvars.copy_context().run, log.info, "with").result()
            pool.submit(log.info, "without").result()
        pool.submit(log.info, "after").result()
    assert [entry.get("user_id") for entry in handler.entries] == ["1", None, None]


def test_a_block_may_end_in_another_context_than_it_started_in(handler: CapturingHandler) -> None:
    def dependency() -> Iterator[None]:
        with log_context(user_id=1):
            log.info("inside")
            yield

    generator = dependency()
    contextvars.copy_context().run(next, generator)
    assert contextvars.copy_context().run(next, generator, "over") == "over"
    assert handler.entries[0]["user_id"] == "1"
    assert "user_id" not in logged(handler)


def test_the_threads_of_a_handler_keep_nothing_of_the_request_that_logged_first() -> None:
    class Request:
        pass

    current = contextvars.ContextVar[Request]("current")

    def serve() -> weakref.ref[Request]:
        request = Request()
        current.set(request)
        shipped.handle(logging.makeLogRecord({"msg": "first"}))
        return weakref.ref(request)

    with CollectorServer() as collector:
        shipped = LogCollectorHandler(server_url=collector.url)
        served = contextvars.copy_context().run(serve)
        assert shipped.flush(60)
        gc.collect()
        assert served() is None
        shipped.close()
