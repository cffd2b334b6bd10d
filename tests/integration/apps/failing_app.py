"""Applications whose lifespan fails: `starting` and `ending` of FastAPI, and `bare` without a framework."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from logcollector_handler.integrations.asgi import Receive, RequestLogMiddleware, Scope, Send


@asynccontextmanager
async def fails_at_start(app: FastAPI) -> AsyncIterator[None]:
    if app.routes:
        raise ConnectionError("no database")
    yield


@asynccontextmanager
async def fails_at_end(app: FastAPI) -> AsyncIterator[None]:
    yield
    raise ConnectionError("no database")


starting = FastAPI(lifespan=fails_at_start)
starting.add_middleware(RequestLogMiddleware)
ending = FastAPI(lifespan=fails_at_end)
ending.add_middleware(RequestLogMiddleware)


async def unwrapped(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise ConnectionError("no database")


bare = RequestLogMiddleware(unwrapped)
