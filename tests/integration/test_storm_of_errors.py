"""A storm of errors against a server on loopback that takes its time for each request."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from logcollector_handler import LogCollectorHandler
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request

pytestmark = pytest.mark.integration

#: Seconds that the server takes for a request.
ROUND_TRIP = 0.05


def slow(request: Request) -> Behaviour:
    time.sleep(ROUND_TRIP)
    return answer()


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_a_storm_of_errors_becomes_no_more_batches_than_the_server_has_time_for(
    durability: str, tmp_path: Path
) -> None:
    spool = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
    log = logging.getLogger("storm")
    with FaultyServer(slow) as server:
        handler = LogCollectorHandler(server_url=server.url, **spool)  # type: ignore[arg-type]  # settings by name
        log.addHandler(handler)
        log.error("the first")
        server.wait_for_stored(1)
        start = time.monotonic()
        for number in range(600):
            log.error("order %d failed", number)
            time.sleep(1 / 300)
        took = time.monotonic() - start
        assert handler.flush(60)
        log.removeHandler(handler)
        handler.close()
        # The first one of the storm, one for each request that the server had time for, and what was left at the end.
        assert handler.stats().batches <= took / ROUND_TRIP + 4
        assert [entry["message"] for entry in server.stored[1:]] == [f"order {number} failed" for number in range(600)]
