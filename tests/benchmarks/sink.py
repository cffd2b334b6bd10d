"""A server that takes every batch at once and counts afterwards, so that it is not what is measured.

`POST` anything: answered 200 and kept. `GET /`: what came, as JSON. `GET /down` and `GET /up`: refuse with 503,
and take again. Runs until it is killed; prints its port.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys


class Sink:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.down = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, *_ = head.split(" ", 2)
                length = next(
                    (
                        int(line.split(":")[1])
                        for line in head.lower().split("\r\n")
                        if line.startswith("content-length")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                status, answer = self.answer(method, path, body)
                start = (
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                )
                writer.write(start.encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            if path in ("/down", "/up"):
                self.down = path == "/down"
            return 200, json.dumps(self.report()).encode() if path == "/" else b"{}"
        if self.down:
            return 503, b"{}"
        self.bodies.append(body)
        # An empty answer is right for OTLP, and is one that says no count for the collector's protocol.
        return 200, b"" if path.startswith("/v1/") else b"{}"

    def report(self) -> dict[str, int]:
        """How many requests, bytes and records came, and how many different records in those that are ours."""
        seen: set[int] = set()
        records = 0
        for body in self.bodies:
            plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            if not plain.startswith(b'{"logs"'):
                records += count_otlp(plain)
                continue
            for entry in json.loads(plain)["logs"]:
                records += 1
                seen.add(int(entry["message"].split()[1]))
        return {
            "requests": len(self.bodies),
            "bytes": sum(map(len, self.bodies)),
            "records": records,
            "unique": len(seen),
        }


def count_otlp(body: bytes) -> int:
    """Records in a request of OpenTelemetry's."""
    try:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    except ImportError:
        return 0
    request = ExportLogsServiceRequest.FromString(body)
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


async def main() -> None:
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
