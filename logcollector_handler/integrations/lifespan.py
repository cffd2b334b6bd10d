"""The start and the end of an ASGI application: pending records are sent at its end, and a failure is logged."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from logcollector_handler.delivery import exit as ending
from logcollector_handler.entry.frameworks import told_by_us

from .ended import ended

_log: Final = logging.getLogger("logcollector.lifespan")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]


class Lifespan:
    """Passes on the messages of the application's start and end, and sends pending records before the end is confirmed.

    After that confirmation uvicorn lets the signal that stopped it kill the process, and no exit handler runs. An
    application without lifespan support returns, or raises (Django), before it has received a message. For that one
    this class answers the server, because a server that gets an error at the start sends no message at the end. Any
    other exception means that the start or the end has failed: the server is told so, and the exception goes on to it.
    """

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self._receive = receive
        self._send = send
        #: The message that was received last: `startup` or `shutdown`; empty before the first.
        self._stage = ""
        self._answered = False
        self._failed = False
        #: What the application gave as the reason of its failure.
        self._reason = ""

    async def run(self, app: _App, scope: MutableMapping[str, Any]) -> None:
        """Run the application for a scope of the type `lifespan`."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            if not self._stage and not self._answered:
                message = "the application takes no lifespan messages: %s"
                ended(_log, logging.INFO, message, (type(error).__name__,), error=error)
                await self._answer_alone()
                return
            lives = self._stage == "startup" and self._answered and not self._failed
            when = "while it ran" if lives else f"at its {self._stage}"
            ended(_log, logging.ERROR, "the application failed %s", (when,), error=error)
            if not self._answered:
                await self.send({"type": f"lifespan.{self._stage}.failed", "message": traceback.format_exc()})
            elif self._stage == "shutdown":
                ending.flush()
            raise
        if not self._stage and not self._answered:
            await self._answer_alone()
        elif self._failed:
            ended(_log, logging.ERROR, "the application failed at its %s: %s", (self._stage, self._reason))
            if self._stage == "shutdown":
                ending.flush()

    async def receive(self) -> _Message:
        """The next message of the server."""
        message = await self._receive()
        self._stage = message["type"].rpartition(".")[2]
        self._answered = False
        return message

    async def send(self, message: _Message) -> None:
        """Pass on what the application answers."""
        self._answered = True
        self._failed = message["type"].endswith(".failed")
        self._reason = message.get("message", "")
        if self._failed and self._reason:
            # uvicorn logs this text. `run` logs the failure.
            told_by_us(_log, "uvicorn.error", self._reason)
        if message["type"].startswith("lifespan.shutdown."):
            ending.flush()
        await self._send(message)

    async def _answer_alone(self) -> None:
        await self.receive()
        await self.send({"type": "lifespan.startup.complete"})
        await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})
