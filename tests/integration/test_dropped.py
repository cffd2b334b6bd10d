"""Handlers and clients that the application drops without closing them drain, and then nothing is left of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration

#: What a program has of threads and sockets, and how it waits until it has none.
LEFT = """
import stat
from logcollector_handler import LogClient, LogCollectorHandler
from logcollector_handler.delivery import exit as ending

def left():
    threads = [each.name for each in threading.enumerate() if "logcollector" in each.name]
    sockets = 0
    for descriptor in range(512):
        try:
            sockets += stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            pass
    return len(threads), sockets, len(ending._live)

def wait():
    deadline = time.monotonic() + 40
    while left() != (0, 0, 0) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return left()
"""
#: How the application comes by one, logs with it, and drops it.
USES = {
    "a handler": """
        handler = LogCollectorHandler(server_url=os.environ["SERVER"], **SETTINGS)
        log.addHandler(handler)
        log.info("m%d", n)
        log.removeHandler(handler)
        del handler
""",
    "a client": """
        client = LogClient(server_url=os.environ["SERVER"], **SETTINGS)
        client.info(f"m{n}")
        del client
""",
    "a handler whose threads run": """
        handler = LogCollectorHandler(server_url=os.environ["SERVER"], **SETTINGS)
        handler.handle(logging.makeLogRecord({"msg": f"m{n}"}))
        assert handler.flush(30)
        assert left()[0] >= 2
        del handler
""",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_what_nobody_refers_to_any_more_drains_and_then_its_threads_and_its_socket_end(
    server: FaultyServer, use: str, durability: str, tmp_path: Path
) -> None:
    settings = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
    ended = run(
        server,
        f"""{LEFT}
log.setLevel("INFO")
SETTINGS = {{"flush_interval": 3600.0, **{settings!r}}}
def use():
    for n in range(20):
{USES[use]}
use()
print(*wait(), flush=True)
os._exit(0)
""",
    )
    assert ended.out.split() == ["0", "0", "0"], ended.err
    assert sorted(messages(server)) == sorted(f"m{number}" for number in range(20)), ended.err
