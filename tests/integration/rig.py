"""A real sender, with its HTTP client, against a real server.

Only time is skipped: a wait of the sender's passes at once, while what the network takes, it takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from tests.delivery.harness import WIRE, Bench, FakeClock
from tests.integration.faulty import FaultyServer


class SkippingClock(FakeClock):
    """Real time, plus what was skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.now_offset = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.now_offset

    def time(self) -> float:
        return time.time() + self.now_offset

    @property
    def now(self) -> float:
        return self.monotonic()

    @now.setter
    def now(self, value: float) -> None:
        self.now_offset = value - time.monotonic()


@dataclass
class Rig:
    """A real server and a sender that posts to it."""

    server: FaultyServer
    bench: Bench

    def put(self, batch_id: str, *messages: str) -> None:
        self.bench.put(batch_id, *messages)

    def run(self, seconds: float = 0.0) -> Stats:
        self.bench.run(seconds)
        return self.bench.stats()

    @property
    def stored(self) -> list[str]:
        return [str(entry["message"]) for entry in self.server.stored]

    @property
    def keys(self) -> list[str | None]:
        return [request.key for request in self.server.requests]


class make_rig:  # noqa: N801 - used like a function
    def __init__(self, **settings: object) -> None:
        self.server = FaultyServer()
        clock = SkippingClock()
        made = replace(Settings(), server_url=self.server.url, **{"timeout": 0.4, **settings})  # type: ignore[arg-type]
        self.transport = HttpTransport(made, WIRE, clock)
        self.rig = Rig(self.server, Bench(settings=made, clock=clock, transport=self.transport))  # type: ignore[arg-type]

    def __enter__(self) -> Rig:
        return self.rig

    def __exit__(self, *_: object) -> None:
        self.transport.close()
        self.server.close()
