"""The weather at the server of the oracle test: how it fails, and what it keeps of what it stores.

What belongs here: carrying out a fault of the server that a seeded generator picked, and counting it. What does not:
when the weather changes, and what must hold in spite of it; that is `oracle.py`.
"""

from __future__ import annotations

import gzip
import random
import socket
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.integration.oracle_records import HEIR, differences
from tests.integration.oracle_rejections import Rejections

#: A fault of one request. None of them lets a batch be stored after its sender gave the attempt up.
FLAWS: Final[dict[str, Callable[[], Behaviour]]] = {
    "cut before the body": behaviours.cut_before_body,
    "cut in the body": behaviours.cut_during_body,
    "cut after the body": behaviours.cut_after_body,
    "cut after storing": behaviours.cut_after_storing,
    "truncated answer": behaviours.truncated_answer,
    "trickled answer": lambda: behaviours.trickle(0.02),
    "hung": behaviours.hang,
    "hung after storing": lambda: behaviours.hang(stored=True),
    "stored, then 502": lambda: behaviours.store_then_answer(502),
    "429": lambda: answer(429),
    "429 with Retry-After": lambda: behaviours.retry_after(1, 429),
    "503": lambda: answer(503),
    "500": lambda: answer(500),
}
#: What gateways answer with a web page, by the fault that it belongs to. It says nothing of a record: none may be lost
#: or dead-lettered for it. A 413 has a batch cut, and a single record is never too long for a gateway here.
PAGES: Final = {"gateways": (200, 403, 413, 502, 503), "gateways that refuse": (400, 422, 500)}
#: What the server is like for some time, how likely, and the fault that it belongs to. Else it is clear.
WEATHER: Final[dict[str, tuple[float, str]]] = {
    "flaky": (6.0, "weather"),
    "refused": (2.0, "weather"),
    "all 429": (1.0, "weather"),
    "all 500": (1.0, "weather"),
    "all 503": (1.0, "weather"),
    "all hung": (1.0, "weather"),
    "all 400": (0.5, "weather"),
    "413 if long": (1.0, "weather"),
    "slow": (2.0, "slow lines"),
    "gateway": (2.0, "gateways"),
    "gateway that refuses": (1.0, "gateways that refuse"),
}
#: Share of the time in which it is clear.
_CLEAR: Final = 0.3
#: Share of the requests that a gateway answers while it does so.
_GATEWAY: Final = 0.6
#: Bytes that a slow line takes at a time, and the size of its segments: where both are large, the system takes the
#: whole of a batch at once from its sender, however slowly the server reads.
_PIECE: Final = 4096
_SEGMENT: Final = 536
#: Statuses by which the server, not a gateway, refuses records.
_REFUSALS: Final = (400, 413, 500)


class Suspicion(NamedTuple):
    """A process posted a record of another one that was alive."""

    time: float
    owner: int
    poster: str
    identity: str


class Collector(FaultyServer):
    """The server: it follows the weather, and keeps of what it stores what the verdict needs.

    Args:
        faults: the kinds that may come up, of `oracle_plan.FAULTS`.
        is_alive: whether the process of a number is alive.
    """

    def __init__(self, seed: int, faults: Collection[str], is_alive: Callable[[int], bool]) -> None:
        self.faults: Counter[str] = Counter()
        self.requests_seen = 0
        #: Under which key each id was stored first.
        self.arrived: dict[str, str] = {}
        #: Ids that were stored again, under which other key, and in which weather.
        self.repeated: dict[str, tuple[str, str]] = {}
        #: Keys of batches that were stored, sent once more, and then given up before the server had read them whole.
        self.given_up: set[str] = set()
        #: Ids whose records the server itself refused, each alone: they may become dead letters.
        self.refused: set[str] = set()
        self.rejections = Rejections()
        #: Entries that are neither records of ours nor notices of losses.
        self.strange: list[str] = []
        #: Ids that did not arrive as they were logged, and the fields.
        self.altered: dict[str, list[str]] = {}
        #: Notices of losses.
        self.notices: list[str] = []
        #: Keys under which two different bodies came, and whether the later one had fewer records.
        self.changed: dict[str, bool] = {}
        self.suspicions: list[Suspicion] = []
        self._seed = seed
        self._faults = faults
        self._is_alive = is_alive
        #: It takes the records on which it fails otherwise.
        self.is_mended = False
        self._weather = "clear"
        self._longest = 0
        self._pages = [status for fault, statuses in PAGES.items() if fault in faults for status in statuses]
        self._speed = 1.0
        self._attempts: Counter[str] = Counter()
        # Checksum and number of records of what first came under each key.
        self._bodies: dict[str, tuple[int, int]] = {}
        super().__init__(self._rule)

    def change(self, rng: random.Random, weather: str | None = None) -> None:
        """Another weather: that one, or one at random."""
        before = self._weather
        likely = {name: share for name, (share, fault) in WEATHER.items() if fault in self._faults}
        if weather is None and likely and rng.random() > _CLEAR:
            weather = rng.choices(list(likely), list(likely.values()))[0]
        self._weather = weather or "clear"
        self._longest = rng.choice((300, 2000, 20000))
        self._speed = rng.choice((15_000.0, 50_000.0, 150_000.0))
        if self._weather != "clear":
            self.faults[f"weather {self._weather}"] += 1
        if self._weather == "refused" or (before != self._weather and "slow" in (before, self._weather)):
            self.refuse()
        if self._weather == "refused":
            return
        if self._weather == "slow":
            self._narrow()
        if before == "all hung" or rng.random() < 0.1:
            # What hangs still, would for ever.
            self._cut_connections()
        self.resume()

    def _narrow(self) -> None:
        """Have the connections to come take little at a time, so that their senders notice how slow the server is."""
        with self._door:
            if self._acceptor is None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)

    def _rule(self, request: Request) -> Behaviour:
        key = request.key or ""
        with self._changed:
            self.requests_seen += 1
            self._attempts[key] += 1
            rng = random.Random(f"{self._seed}/{key}/{self._attempts[key]}")
            # A server that remembers keys does not refuse what it has stored.
            known = key in self._stored_keys
        if known:
            self._read_known(request)
        name, behaviour = self._pick(rng, request, known)
        refuses = behaviour.content_type == "application/json" and behaviour.status in _REFUSALS
        alone = _identities(request) if refuses and len(request.entries) == 1 else []
        with self._changed:
            if name:
                self.faults[name] += 1
            self.refused.update(alone)
        return behaviour

    def _read_known(self, request: Request) -> None:
        """Read a batch that was stored before. Note if its sender gives it up, as it may on a busy machine."""
        is_whole = False
        try:
            request.read()
            is_whole = not request.sender_has_gone()
        finally:
            if not is_whole:
                with self._changed:
                    self.given_up.add(request.key or "")

    def _pick(self, rng: random.Random, request: Request, known: bool) -> tuple[str, Behaviour]:
        weather = self._weather
        if weather == "flaky" and rng.random() < 0.35:
            flaws: list[str | int] = [*FLAWS, *self._pages]
            flaw = rng.choice(flaws)
            if isinstance(flaw, int):
                return self._page(flaw, request, known)
            if not (known and flaw == "500"):
                behaviour = FLAWS[flaw]()
                if behaviour.store and not known:
                    request.read()
                    if request.sender_has_gone():
                        # On a busy machine it may have sent the batch once more by now, and have been told to cut it.
                        return "gave up", behaviours.cut_after_body()
                return flaw, behaviour
        if weather in ("gateway", "gateway that refuses") and rng.random() < _GATEWAY:
            return self._page(rng.choice(self._pages), request, known)
        if weather == "all hung":
            return "hung", FLAWS["hung"]()
        if weather in ("all 429", "all 503"):
            return weather[4:], answer(int(weather[4:]))
        # Nor is a batch slow that was stored before: its sender, an heir that does not know of that, would cut it.
        if weather == "slow" and not known:
            # No line is equally slow for long. A batch that is sent just before its time is over, and its answer just
            # after that, must not be cut: it would have to wait until the line gets better.
            request.read(1.0, _PIECE / (self._speed * rng.uniform(0.7, 2.0)), _PIECE)
        if not known:
            return self._judge(request, weather)
        return "", self.rejections.answer_again(request.key or "")

    def _page(self, status: int, request: Request, known: bool) -> tuple[str, Behaviour]:
        # A batch that was stored before is not to be cut: its records would be stored once more.
        if status == 413 and (known or len(request.entries) == 1):
            status = 502
        page = f"<!doctype html><html><body><h1>{status}</h1><hr>gateway</body></html>"
        return f"page with {status}", Behaviour(status=status, content_type="text/html", body=page.encode())

    def _judge(self, request: Request, weather: str) -> tuple[str, Behaviour]:
        """What the server itself says of a batch that it has not stored."""
        if weather in ("all 400", "all 500"):
            return weather[4:], answer(int(weather[4:]))
        self._inspect(request)
        if request.sender_has_gone():
            # Its sender may cut the batch by now, on another answer. Stored now, the records would be stored twice.
            return "gave up", behaviours.cut_after_body()
        if not all(isinstance(entry, dict) and "message" in entry for entry in request.entries):
            return "no entries", answer(400)
        if weather == "413 if long" and len(request.body) > self._longest:
            return "413", answer(413)
        for status in (400,) if self.is_mended else (400, 500):
            poison = [entry for entry in request.entries if entry.get("metadata", {}).get("poison") == status]
            if poison and status == 400 and request.wire == "otlp" and zlib.crc32(request.body) % 2:
                rejected = [entry["metadata"]["oracle"] for entry in poison]
                return "partial success", self.rejections.reject(request.key or "", rejected)
            if poison:
                return f"poison, {status}", answer(status)
        return "", answer()

    def _inspect(self, request: Request) -> None:
        """A retry repeats the byte-identical body, and nobody posts what a living process has."""
        # An heir may compress what the owner did not.
        is_packed = request.headers["Content-Encoding"] == "gzip"
        check = zlib.crc32(gzip.decompress(request.body) if is_packed else request.body)
        ids = _identities(request)
        poster = request.headers["X-Process"]
        with self._changed:
            before, count = self._bodies.setdefault(request.key or "", (check, len(ids)))
            if before != check:
                self.changed[request.key or ""] = len(ids) < count
        for owner, child, _ in (each.split("-") for each in ids[:1]):
            # Of a forked child only the child itself knows how long it lives.
            if owner != poster and child in ("0", str(HEIR)) and self._is_alive(int(owner)):
                self.suspicions.append(Suspicion(time.monotonic(), int(owner), poster, ids[0]))

    def _store(self, request: Request) -> None:
        entries = request.entries
        with self._changed:
            # A long run would not fit in memory.
            self._requests.clear()
            if request.key is None:
                self.strange.append("a request without a key")
                return
            if request.key in self._stored_keys:
                return
            self._stored_keys[request.key] = None
        for entry in entries:
            # Of the litter's a server that stores whatever it gets keeps nothing.
            if isinstance(entry, dict) and "message" in entry:
                self._receive(entry, request.key)

    def _receive(self, entry: dict[str, Any], key: str) -> None:
        metadata = entry.get("metadata", {})
        identity = metadata.get("oracle")
        if self.rejections.has(key, identity):
            return
        if identity is None:
            if metadata.get("logger") == "logcollector_handler" and "lost" in metadata:
                self.notices.append(str(metadata["lost"]))
            else:
                self.strange.append(str(entry)[:300])
            return
        wrong = differences(self._seed, identity, entry)
        with self._changed:
            if identity in self.arrived:
                self.repeated[identity] = (key, self._weather)
            self.arrived.setdefault(identity, key)
            if wrong:
                self.altered[identity] = wrong


def _identities(request: Request) -> list[str]:
    found = []
    for entry in request.entries:
        metadata = entry.get("metadata") if isinstance(entry, dict) else None
        if isinstance(metadata, dict) and isinstance(metadata.get("oracle"), str):
            found.append(metadata["oracle"])
    return found
