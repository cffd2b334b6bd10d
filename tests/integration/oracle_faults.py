"""What goes wrong in the oracle test: the weather at the server, and damage to the files of the spool.

What belongs here: carrying out a fault that a seeded generator picked, and counting it. What does not: when
faults begin and end, and what must hold in spite of them; that is `oracle.py`.
"""

from __future__ import annotations

import os
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.integration.oracle_worker import differences

_BATCH: Final = re.compile(r"[0-9a-f]{12}-[0-9a-f]{16}-[0-9a-f]{24}(\.[01])*\.(json|json\.gz|open)")
_IDENTITY: Final = re.compile(rb'"oracle":"(\d+-\d+-\d+)"')

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
#: What the server is like for some time, and how likely.
WEATHER: Final = {
    "clear": 6.0,
    "flaky": 6.0,
    "refused": 2.0,
    "all 429": 1.0,
    "all 500": 1.0,
    "all 503": 1.0,
    "all hung": 1.0,
    "all 400": 0.5,
    "413 if long": 1.0,
}


class Collector(FaultyServer):
    """The server: it follows the weather, and keeps of what it stores what the verdict needs."""

    def __init__(self, seed: int) -> None:
        self.faults: Counter[str] = Counter()
        self.requests_seen = 0
        #: How often each id was stored.
        self.arrived: Counter[str] = Counter()
        #: Entries that are neither records of ours nor notices of losses.
        self.strange: list[str] = []
        #: Ids that did not arrive as they were logged, and the fields.
        self.altered: dict[str, list[str]] = {}
        #: Notices of losses.
        self.notices: list[str] = []
        #: Keys under which two different bodies came.
        self.changed: list[str] = []
        self._seed = seed
        self._weather = "clear"
        self._longest = 0
        self._attempts: Counter[str] = Counter()
        self._bodies: dict[str, int] = {}
        super().__init__(self._rule)

    def change(self, rng: random.Random, weather: str | None = None) -> None:
        """Another weather: that one, or one at random."""
        before = self._weather
        self._weather = weather or rng.choices(list(WEATHER), list(WEATHER.values()))[0]
        self._longest = rng.choice((300, 2000, 20000))
        if self._weather != "clear":
            self.faults[f"weather {self._weather}"] += 1
        if self._weather == "refused":
            self.refuse()
        else:
            if before == "all hung" or rng.random() < 0.1:
                # What hangs still, would for ever.
                self._cut_connections()
            self.resume()

    def _rule(self, request: Request) -> Behaviour:
        key = request.key or ""
        with self._changed:
            self.requests_seen += 1
            self._attempts[key] += 1
            rng = random.Random(f"{self._seed}/{key}/{self._attempts[key]}")
            # A server that remembers keys does not refuse what it has stored.
            known = key in self._stored_keys
        name, behaviour = self._pick(rng, request, known)
        if name:
            with self._changed:
                self.faults[name] += 1
        return behaviour

    def _pick(self, rng: random.Random, request: Request, known: bool) -> tuple[str, Behaviour]:
        weather = self._weather
        if weather == "flaky" and rng.random() < 0.35:
            name = rng.choice(list(FLAWS))
            if not (known and name == "500"):
                return name, FLAWS[name]()
        if weather == "all hung":
            return "hung", FLAWS["hung"]()
        if weather in ("all 429", "all 503"):
            return weather[4:], answer(int(weather[4:]))
        if not known:
            if weather in ("all 400", "all 500"):
                return weather[4:], answer(int(weather[4:]))
            self._compare(request)
            if not all(isinstance(entry, dict) and "message" in entry for entry in request.entries):
                return "no entries", answer(400)
            if weather == "413 if long" and len(request.body) > self._longest:
                return "413", answer(413)
            for status in (400, 500):
                if any(entry.get("metadata", {}).get("poison") == status for entry in request.entries):
                    return f"poison, {status}", answer(status)
        return "", answer()

    def _compare(self, request: Request) -> None:
        """A retry repeats the byte-identical body."""
        check = zlib.crc32(request.body)
        with self._changed:
            if self._bodies.setdefault(request.key or "", check) != check:
                self.changed.append(request.key or "")

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
                self._receive(entry)

    def _receive(self, entry: dict[str, Any]) -> None:
        metadata = entry.get("metadata", {})
        identity = metadata.get("oracle")
        if identity is None:
            if metadata.get("logger") == "logcollector_handler" and "lost" in metadata:
                self.notices.append(str(metadata["lost"]))
            else:
                self.strange.append(str(entry)[:300])
            return
        wrong = differences(self._seed, identity, entry)
        with self._changed:
            self.arrived[identity] += 1
            if wrong:
                self.altered[identity] = wrong


def batch_files(directory: Path) -> list[Path]:
    """The files of batches under a spool directory, those of dead letters not included."""
    found = []
    for place in os.scandir(directory) if directory.is_dir() else ():
        # Without a look at each: there can be many thousands.
        entries = os.scandir(place) if place.is_dir() else ()
        found += [Path(each) for each in entries if _BATCH.fullmatch(each.name) and each.is_file(follow_symlinks=False)]
    return found


def identities_in(body: bytes, path: Path) -> set[str]:
    """The ids in what a file holds, as far as it can be read."""
    if path.name.endswith(".gz"):
        try:
            body = zlib.decompress(body, wbits=31)
        except zlib.error:
            return set()
    return {each.decode() for each in _IDENTITY.findall(body)}


class Vandal:
    """Damages files of the spool, and knows which ids were in them."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.faults: Counter[str] = Counter()
        #: Ids that may be lost now, by the file that they were in.
        self.excused: dict[str, str] = {}

    def strike(self, rng: random.Random, *, all_dead: bool) -> None:
        """Damage a file. An open file of a living process is still written to: it is only scribbled in."""
        files = sorted(batch_files(self._spool))
        if not files:
            return
        path = rng.choice(files)
        is_open = path.suffix == ".open"
        how = "garbage" if is_open and not all_dead else rng.choice(("garbage", "truncated", "emptied", "deleted"))
        try:
            with path.open("r+b") as file:
                body = file.read()
                if not body:
                    return
                place = rng.randrange(len(body))
                if how == "garbage":
                    file.seek(place)
                    file.write(b"\xff\x00{garbage"[: len(body) - place])
                elif how == "truncated":
                    file.truncate(place)
                elif how == "emptied":
                    file.truncate(0)
            if how == "deleted":
                path.unlink()
        except FileNotFoundError:
            return  # It was settled meanwhile.
        self.faults[f"file {how}"] += 1
        for identity in identities_in(body, path):
            self.excused[identity] = f"{path.name} ({how})"

    def litter(self, destination: Path) -> None:
        """Leave files that no process of ours wrote. None of them may stop the others."""
        destination.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(("notes.txt", "x.json", "a.open", "y.tmp", ".hidden.lock")):
            (destination / name).write_bytes(b"\x00not ours" * number)
        alien = f"{'0' * 12}-{'f' * 16}"
        for number, body in enumerate(
            (b"", b"{", b'{"logs":[]}', b'{"logs":[1,"x",null]}', b'{"logs":[{}]}', b"\x1f\x8b")
        ):
            (destination / f"{alien}-{number:08x}.json{'.gz' if body[:1] == bytes([31]) else ''}").write_bytes(body)
        (destination / f"{alien}-000000aa.json").mkdir()
        (destination / f"{alien}-000000bb.json").symlink_to("/etc/hostname")
        (destination / f"{alien}-000000cc.open").write_bytes(b"no line end")
