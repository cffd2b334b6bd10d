"""A real ClickHouse server, which can be killed and started again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests import needed
from tests.integration.served import free_port

#: The table of the examples for the server that Debian has.
TABLE: Final = (Path(__file__).parents[1] / "examples/engines/clickhouse-18.16.sql").read_text("utf-8")

_CONFIG: Final = """<yandex>
    <logger><level>warning</level><console>1</console></logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{port}</http_port>
    <path>{directory}/data/</path>
    <tmp_path>{directory}/tmp/</tmp_path>
    <users_config>users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <mark_cache_size>100000000</mark_cache_size>
</yandex>
"""
_USERS: Final = """<yandex>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password><networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile><quota>default</quota>
        </default>
    </users>
</yandex>
"""
#: Seconds in which the server answers after it was started, also on a busy machine.
_START_LIMIT: Final = 60.0


class ClickHouse:
    """The server on a port of loopback, with all its files in a directory.

    Args:
        directory: an empty one.
    """

    def __init__(self, directory: Path) -> None:
        self._program = needed.program("clickhouse-server", "clickhouse-server", in_each_debian=False)
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "config.xml").write_text(_CONFIG.format(port=self._port, directory=directory), "utf-8")
        (directory / "users.xml").write_text(_USERS, "utf-8")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            command = [self._program, f"--config-file={self._directory / 'config.xml'}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)
        end = time.monotonic() + _START_LIMIT
        while True:
            try:
                self.query("SELECT 1")
                return
            except OSError:
                said = (self._directory / "log").read_text("utf-8", "replace")
                assert self._process.poll() is None, said
                assert time.monotonic() < end, said
                time.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, sql: str) -> list[list[str]]:
        """The rows that a query returns."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/", sql.encode())
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        assert response.status == 200, text
        return [line.split("\t") for line in text.splitlines()]

    def url(self, table: str = "logs") -> str:
        """Where the handler posts NDJSON for a table."""
        query = quote(f"INSERT INTO {table} FORMAT JSONEachRow")
        return f"http://127.0.0.1:{self._port}/?query={query}&input_format_skip_unknown_fields=1"


@contextmanager
def clickhouse(directory: Path) -> Iterator[ClickHouse]:
    """A running server with an empty table `logs`."""
    server = ClickHouse(directory)
    try:
        server.start()
        server.query(TABLE)
        yield server
    finally:
        server.kill()
