"""Clients that share a worker are closed and flushed at once: each promise is settled, and says what is true."""

from __future__ import annotations

import pytest

from tests.integration.behaviours import answer, slow_read
from tests.integration.faulty import FaultyServer
from tests.javascript.conftest import App

pytestmark = pytest.mark.integration

START = """
import { createLogClient } from "logcollector-handler";
const log = createLogClient();
const orders = log.child({ part: "orders" });
log.info("m");
"""


def test_a_client_and_its_child_are_closed_at_the_same_time(app: App, server: FaultyServer) -> None:
    server.default = slow_read(0.2)
    ended = app.run(f"{START} console.log(...await Promise.all([log.close(), orders.close(), log.flush()]));")
    assert (ended.code, ended.out, ended.err) == (0, "true true true\n", "")
    assert [entry["message"] for entry in server.stored] == ["m"]


def test_a_flush_ends_when_the_client_is_closed(app: App, server: FaultyServer) -> None:
    server.default = answer(503)
    ended = app.run(
        f"{START} console.log(...await Promise.all([log.flush(100_000), log.close(200), orders.close(200)]));"
    )
    assert (ended.code, ended.out) == (0, "false false false\n"), ended.err
    assert ended.seconds < 60


def test_what_is_logged_while_the_client_is_closed_is_waited_for_by_the_next_close(
    app: App, server: FaultyServer
) -> None:
    ended = app.run(f"""{START}
        for (let number = 0; number < 20; number++) {{
          const closed = log.close();
          for (let turn = 0; turn < number; turn++) await new Promise((resolve) => setImmediate(resolve));
          log.info("late");
          console.log(...await Promise.all([closed, log.close()]));
          console.log(log.stats().pending);
        }}
    """)
    assert (ended.code, ended.out, ended.err) == (0, "true true\n0\n" * 20, "")
    assert [entry["message"] for entry in server.stored] == ["m", *["late"] * 20]
