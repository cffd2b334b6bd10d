"""What is bound anywhere in a request is on its access record, and nowhere else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler import bind_context, clear_context, log_context
from logcollector_handler.context import current_fields, new_request, with_fields
from logcollector_handler.integrations.asgi import App, Message, Receive, RequestLogMiddleware, Scope, Send
from logcollector_handler.integrations.wsgi import Environ, StartResponse
from logcollector_handler.integrations.wsgi import RequestLogMiddleware as WsgiMiddleware
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations import test_wsgi as wsgi
from tests.integrations.asgi_requests import TRACE, log, responding, run, scope

Bind = Callable[[], object]


async def in_thread(bind: Bind) -> None:
    await asyncio.to_thread(bind)


async def in_thread_that_is_kept(bind: Bind) -> None:
    """As anyio does it for synchronous endpoints: an old thread, a copy of the context."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).result()
        await asyncio.wrap_future(pool.submit(contextvars.copy_context().run, bind))


async def in_task(bind: Bind) -> None:
    async def task() -> None:
        bind()

    await asyncio.create_task(task())


async def in_thread_of_a_task(bind: Bind) -> None:
    await asyncio.create_task(in_thread(bind))


async def in_callback(bind: Bind) -> None:
    asyncio.get_running_loop().call_soon(bind)
    await asyncio.sleep(0)


WAYS = [in_thread, in_thread_that_is_kept, in_task, in_thread_of_a_task, in_callback]


def binding(way: Any, bind: Bind) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await way(bind)
        await responding()(scope, receive, send)

    return app


@pytest.mark.parametrize("way", WAYS)
def test_what_a_thread_or_task_of_the_request_binds_is_on_the_access_record(
    captured: CapturingHandler, way: Any
) -> None:
    run(binding(way, lambda: bind_context(user_id=7, cart=["a"])), scope())
    inside, access = captured.entries
    assert (access["user_id"], access["metadata"]["cart"]) == ("7", ["a"])
    assert (access["trace_id"], access["metadata"]["request_id"]) == (TRACE, "req-1")
    # The other code of the request keeps its own.
    assert "user_id" not in inside


@pytest.mark.parametrize("way", WAYS)
def test_a_field_that_is_unbound_in_a_thread_is_not_on_the_access_record(captured: CapturingHandler, way: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bind_context(user_id=7)
        await binding(way, lambda: bind_context(user_id=None))(scope, receive, send)

    run(app, scope())
    assert "user_id" not in captured.entries[-1]


def test_what_is_bound_for_a_block_only_is_not_on_the_access_record(captured: CapturingHandler) -> None:
    def bind() -> None:
        with log_context(step="one"):
            bind_context(user_id=7)
            log.info("in the block")
        bind_context(order=8)

    run(binding(in_thread, bind), scope())
    block, _, access = captured.entries
    assert (block["user_id"], block["metadata"]["step"]) == ("7", "one")
    assert "user_id" not in access
    assert (access["metadata"]["order"], "step" in access["metadata"]) == (8, False)


def test_cleared_fields_are_off_the_access_record_which_keeps_those_of_the_request(captured: CapturingHandler) -> None:
    def bind() -> None:
        bind_context(user_id=7)
        clear_context()
        log.info("cleared")
        bind_context(order=8)

    run(binding(in_thread, bind), scope())
    cleared, _, access = captured.entries
    assert ("trace_id" in cleared, "user_id" in cleared) == (False, False)
    assert ("user_id" in access, access["metadata"]["order"]) == (False, 8)
    assert (access["trace_id"], access["metadata"]["request_id"]) == (TRACE, "req-1")


def test_threads_and_tasks_of_one_request_keep_their_fields_apart(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        both = threading.Barrier(2)

        def work(name: str) -> None:
            bind_context(worker=name)
            both.wait(60)
            log.info(name)

        await asyncio.gather(asyncio.to_thread(work, "a"), asyncio.to_thread(work, "b"))
        await responding()(scope, receive, send)

    run(app, scope())
    assert {entry["message"]: fields(entry)["worker"] for entry in captured.entries[:2]} == {"a": "a", "b": "b"}
    assert fields(captured.entries[-1])["worker"] in ("a", "b")


def test_a_task_that_outlives_its_request_changes_no_other_and_keeps_what_it_inherited(
    captured: CapturingHandler,
) -> None:
    async def main() -> None:
        go = asyncio.Event()
        tasks = []

        async def late() -> None:
            await go.wait()
            bind_context(user_id="late")
            log.info("late")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/first":
                tasks.append(asyncio.create_task(late()))
            else:
                go.set()
                await tasks[0]
            await responding()(scope, receive, send)

        for path in ("/first", "/second"):
            await RequestLogMiddleware(app)(scope(path=path), None, drop)  # type: ignore[arg-type]

    asyncio.run(main())
    entries = captured.entries
    assert [(each["message"][:5], each["path"], each.get("user_id")) for each in entries] == [
        ("insid", "/first", None),
        ("GET /", "/first", None),
        ("late", "/first", "late"),
        ("insid", "/second", None),
        ("GET /", "/second", None),
    ]


def test_a_request_in_a_context_that_was_copied_in_another_request_has_nothing_of_that(
    captured: CapturingHandler,
) -> None:
    """asyncio runs the callbacks of a connection in the context in which a request has resumed reading from it."""
    contexts = []

    async def first(scope: Scope, receive: Receive, send: Send) -> None:
        bind_context(user_id=7)
        contexts.append(contextvars.copy_context())
        await responding()(scope, receive, send)

    with log_context(region="eu"):
        asyncio.run(RequestLogMiddleware(first)(scope(), None, drop))  # type: ignore[arg-type]
    captured.clear()
    contexts[0].run(lambda: asyncio.run(RequestLogMiddleware(responding())(scope(headers=[]), None, drop)))  # type: ignore[arg-type]
    for entry in captured.entries:
        assert ("user_id" in entry, "trace_id" in entry) == (False, False)
        assert fields(entry)["region"] == "eu"


def test_a_request_within_a_request_has_its_own_fields_and_changes_none_of_the_outer(
    captured: CapturingHandler,
) -> None:
    async def outer(scope_: Scope, receive: Receive, send: Send) -> None:
        bind_context(user_id="outer")
        await RequestLogMiddleware(binding(in_thread, lambda: bind_context(order=1)))(
            scope(path="/inner"), receive, drop
        )
        await responding()(scope_, receive, send)

    run(outer, scope())
    inner, access = captured.entries[1], captured.entries[3]
    assert (inner["path"], "user_id" in inner, inner["metadata"]["order"]) == ("/inner", False, 1)
    assert (access["path"], access["user_id"], "order" in access["metadata"]) == ("/orders/7", "outer", False)


def test_an_application_in_an_application_that_both_have_the_middleware_gives_one_record(
    captured: CapturingHandler,
) -> None:
    run(RequestLogMiddleware(responding()), scope())
    assert [entry["message"][:6] for entry in captured.entries] == ["inside", "GET /o"]
    captured.clear()
    wsgi.serve(WsgiMiddleware(wsgi.responding()))
    assert [entry["message"][:6] for entry in captured.entries] == ["inside", "GET /o"]


def test_what_threads_bind_in_a_wsgi_request_is_on_its_record_also_while_it_streams(captured: CapturingHandler) -> None:
    def in_pool(**bound: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, lambda: bind_context(**bound)).result()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        in_pool(user_id=7)

        def body() -> Iterator[bytes]:
            in_pool(order=8)
            yield b"a"

        start_response("200 OK", [])
        return body()

    wsgi.serve(app)
    wsgi.serve(wsgi.responding())
    access, _, other = captured.entries
    assert (access["user_id"], access["metadata"]["order"]) == ("7", 8)
    assert ("user_id" in other, "order" in other["metadata"]) == (False, False)


def test_a_request_that_has_ended_is_freed_at_once(captured: CapturingHandler) -> None:
    class Probe:
        pass

    made = scope(probe=Probe())
    probe = weakref.ref(made["probe"])
    gc.disable()
    try:
        run(binding(in_task, lambda: bind_context(user_id=7)), made)
        del made
        assert probe() is None
    finally:
        gc.enable()


def test_metadata_that_several_threads_bind_is_put_together(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(bind_context, metadata={"a": 1, "both": 1})
        await asyncio.to_thread(bind_context, metadata={"b": 2, "both": 2})
        await responding()(scope, receive, send)

    run(app, scope())
    found = fields(captured.entries[-1])
    assert (found["a"], found["b"], found["both"]) == (1, 2, 2)


STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.dictionaries(st.sampled_from(["user_id", "a", "b", "path"]), st.sampled_from([None, 1, "x"]), max_size=3),
    ),
    max_size=6,
)


@given(STEPS)
def test_the_request_has_what_one_thread_would_have_bound_one_after_the_other(
    steps: list[tuple[bool, dict[str, Any]]],
) -> None:
    request = new_request(path="/", request_id="r")
    with with_fields(request.bound()):
        for elsewhere, bound in steps:
            if elsewhere:
                contextvars.copy_context().run(lambda bound=bound: bind_context(**bound))  # type: ignore[misc]
            else:
                bind_context(**bound)
    expected = {"path": "/", "request_id": "r"}
    for _, bound in steps:
        for name, value in bound.items():
            expected.pop(name, None)
            if value is not None:
                expected[name] = value
    assert {name: each[2] for name, each in request.bound().fields.items()} == expected
    assert current_fields() is None


async def drop(message: Message) -> None: ...
