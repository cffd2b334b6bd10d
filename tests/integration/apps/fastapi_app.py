"""FastAPI, as people write it. uvicorn's --log-config configures logging."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.requests import Request
from fastapi.responses import JSONResponse, StreamingResponse

from logcollector_handler import bind_context
from logcollector_handler.integrations.asgi import RequestLogMiddleware

log = logging.getLogger("shop")
app = FastAPI()
app.add_middleware(RequestLogMiddleware)


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    bind_context(user_id=number)
    await asyncio.sleep(0)
    log.info("items %d", number)
    return {"number": number}


def visitor(number: int) -> None:
    bind_context(session_id=f"s-{number}")


@app.get("/threaded/{number}", dependencies=[Depends(visitor)])
def threaded(number: int) -> dict[str, int]:
    bind_context(user_id=number)
    log.info("threaded %d", number)
    return {"number": number}


@app.get("/missing")
async def missing() -> None:
    raise HTTPException(404)


@app.get("/boom")
async def boom() -> None:
    raise ValueError("no stock")


@app.get("/handled")
def handled() -> None:
    raise LookupError("no such item")


@app.exception_handler(LookupError)
async def not_found(request: Request, error: LookupError) -> JSONResponse:
    log.warning("handled", extra={"request": request})
    return JSONResponse({}, 404)


@app.exception_handler(Exception)
def failed(request: Request, error: Exception) -> JSONResponse:
    log.info("answering %s", type(error).__name__)
    return JSONResponse({}, 500)


@app.get("/stream")
async def stream(pieces: int, seconds: float) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for number in range(pieces):
            log.info("piece %d", number)
            yield b"x" * 1000
            await asyncio.sleep(seconds)

    return StreamingResponse(body())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    async def work() -> None:
        await asyncio.sleep(0.2)
        log.info("in the background")

    tasks.add_task(work)
    return "later"


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        text = await socket.receive_text()
        log.info("echo %s", text)
        await socket.send_text(text)
