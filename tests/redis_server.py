"""A real Redis server for tests of RQ."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import needed

with needed.packages():
    from redis import Redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry


@contextmanager
def redis_server(directory: Path) -> Iterator[Redis]:
    """A server on a socket in the directory, and a client of it."""
    server = needed.program("redis-server", "redis-server")
    address = str(directory / "redis.sock")
    command = [server, "--port", "0", "--unixsocket", address, "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = Redis(unix_socket_path=address, retry=Retry(ExponentialBackoff(cap=0.1), 600))
    try:
        client.ping()
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()


def url_of(client: Redis) -> str:
    """The URL of a client's server."""
    return f"unix://{client.connection_pool.connection_kwargs['path']}"
