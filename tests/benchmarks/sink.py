"""A server that takes every batch at once and counts afterwards, so that it is not what is measured.

It speaks as much of each contender's protocol as it takes to find the records: JSON as the collector takes it,
OTLP, msgpack (logtail), lines of JSON (logz.io; Logstash over plain TCP), envelopes (Sentry), gzip or not. A record
is known by the number in its message, "order 17 placed": its thread times SPAN and its number in the thread.

`GET /` tells what came. `GET /serve?delay=0.05` makes it wait before each answer, `?delay=hang` for ever,
`?delay=down` answer 503. Runs until it is killed; prints its port.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator

#: Numbers of one thread.
SPAN = 10_000_000
#: The thread whose records are not counted: those before the measurement.
WARM_UP = 99
_NUMBER = re.compile(rb"order (\d+) (?:placed|failed)")


class Sink:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.delay = "0"
        self.last = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            if first == b"{":
                await self._lines(first, reader)
            while True:
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await self._request(head, reader, writer)
                first = b""
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _lines(self, first: bytes, reader: asyncio.StreamReader) -> None:
        """Logstash over TCP: lines until the client closes; it hears nothing back."""
        if self.delay == "hang":
            await asyncio.sleep(3600)
        self._keep(first + await reader.read(-1))
        raise ConnectionError("done")

    async def _request(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, *_ = head.split(" ", 2)
        length = re.search(r"(?i)content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        status, answer = 200, b"{}"
        if method == "GET":
            if path.startswith("/serve"):
                self.delay = path.partition("=")[2]
            else:
                answer = json.dumps(self.report()).encode()
        elif self.delay == "down":
            status = 503
        elif self.delay == "hang":
            await asyncio.sleep(3600)
        else:
            if self.delay != "0":
                await asyncio.sleep(float(self.delay))
            self._keep(body)
            # An empty answer is right for OTLP.
            answer = b"" if path.startswith("/v1/") else b"{}"
        start = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        writer.write(start.encode() + answer)
        await writer.drain()

    def _keep(self, body: bytes) -> None:
        self.bodies.append(body)
        self.last = time.monotonic()

    def report(self) -> dict[str, float]:
        """What came: requests, bytes, records by how often and in which order, and when the last did (monotonic)."""
        seen: Counter[int] = Counter()
        latest: Counter[int] = Counter()
        late = records = 0
        for body in self.bodies:
            for number in numbers(body):
                records += 1
                thread = number // SPAN
                if thread == WARM_UP:
                    continue
                seen[number] += 1
                if number < latest[thread]:
                    late += 1
                latest[thread] = max(latest[thread], number)
        return {
            "requests": len(self.bodies),
            "bytes": sum(map(len, self.bodies)),
            "records": records,
            "unique": len(seen),
            "repeated": sum(seen.values()) - len(seen),
            "out_of_order": late,
            "last": self.last,
        }


def numbers(body: bytes) -> Iterator[int]:
    """The number of each record in a body, in order. A record is one message and nothing else holds one."""
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    before = None
    for match in _NUMBER.finditer(plain):
        # Some send the message a second time in the same record, as formatted or as the text of an exception.
        number = int(match[1])
        if number != before:
            yield number
        before = number


async def main() -> None:
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
