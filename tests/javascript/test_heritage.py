"""What a dead process of Node left in the spool is sent by the next one, under the same keys; a living one's is not."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.javascript.conftest import App

pytestmark = pytest.mark.integration

#: It stays until it is asked to end.
STAY = "setInterval(() => {}, 1000);"
#: A process that has a client and logs nothing.
IDLE = f"import {{ createLogClient }} from 'logcollector-handler'; createLogClient(); {STAY}"
LOGS = f"""
import {{ createLogClient }} from "logcollector-handler";
const log = createLogClient(undefined, {{ batchSize: 50 }});
for (let number = 0; number < 1000; number++) log.info(`m${{number}}`);
{STAY}
"""
LOGGED = Counter(f"m{number}" for number in range(1000))
OWNER = "0000000000aa-0123456789abcdef"


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def start(app: App, script: str, spool: Path, who: str = "") -> subprocess.Popen[str]:
    return app.start(script, LOGCOLLECTOR_SPOOL_DIR=str(spool), LOGCOLLECTOR_HEADERS=json.dumps({"X-Who": who}))


def end(*processes: subprocess.Popen[str]) -> str:
    """What they said on stderr."""
    for process in processes:
        process.terminate()
    return "".join(process.communicate(timeout=60)[1] for process in processes)


def batches(spool: Path) -> list[str]:
    return [path.name for path in spool.glob("*/*") if ".json" in path.name]


def test_what_a_killed_process_left_is_sent_by_one_of_the_others_and_what_a_living_one_has_is_not(
    app: App, server: FaultyServer, tmp_path: Path
) -> None:
    server.default = lambda request: answer(503 if request.headers["X-Who"] == "first" else 200)
    first = start(app, LOGS, tmp_path, "first")
    until(lambda: len(batches(tmp_path)) == 20, "twenty batches in the spool")
    first.send_signal(signal.SIGSTOP)
    # While it lives, though it is stopped, one that needs a second to end looks at its files and leaves them.
    look = """
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient();
        log.info("fresh");
        await log.flush();
        await new Promise((resolve) => setTimeout(resolve, 1000));
    """
    assert app.run(look, LOGCOLLECTOR_SPOOL_DIR=str(tmp_path)).err == ""
    assert [entry["message"] for entry in server.stored] == ["fresh"]
    first.kill()
    first.communicate(timeout=60)
    assert len(batches(tmp_path)) == 20
    left = {name.split(".")[0] for name in batches(tmp_path)}
    heirs = [start(app, IDLE, tmp_path, f"heir {number}") for number in range(3)]
    until(lambda: not batches(tmp_path), "an empty spool")
    assert end(*heirs) == ""
    stored = Counter(str(entry["message"]) for entry in server.stored)
    assert stored == LOGGED + Counter(["fresh"])
    sent = Counter(request.key for request in server.requests if str(request.headers["X-Who"]).startswith("heir"))
    assert sent == Counter(dict.fromkeys(left, 1)), "each once, by one of the three"
    assert {request.key for request in server.requests if request.headers["X-Who"] == "first"} <= left
    until(lambda: not list(tmp_path.glob("*/*")), "nothing left of their sockets")


def test_what_is_damaged_foreign_or_of_another_owner_is_not_sent_and_the_rest_is(
    app: App, server: FaultyServer, tmp_path: Path
) -> None:
    # It makes the directory, and ends.
    app.run(
        """
        import { createLogClient } from "logcollector-handler";
        createLogClient().info("m");
    """,
        LOGCOLLECTOR_SPOOL_DIR=str(tmp_path),
    )
    (place,) = tmp_path.iterdir()
    number = 0

    def leave(message: str, owner: str = OWNER, suffix: str = ".json", content: bytes | None = None) -> Path:
        nonlocal number
        number += 1
        path = place / f"{owner}-{number:08x}{'0' * 16}{suffix}"
        body = json.dumps({"logs": [{"level": "INFO", "message": message}]}).encode()
        path.write_bytes((gzip.compress(body) if suffix.endswith(".gz") else body) if content is None else content)
        path.chmod(0o600)
        return path

    def die(owner: str) -> None:
        """Leave a socket as a dead process does."""
        address = Path(f"/tmp/{owner}")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen()
        address.rename(place / f"{owner}.sock")

    die(OWNER)
    whole, compressed = leave("whole"), leave("compressed", suffix=".json.gz")
    replaced = leave("replaced by its halves")
    for half in ".0", ".1":
        leave(f"half {half}").rename(place / f"{replaced.stem}{half}.json")
    halved = leave("half of it is missing")
    leave("the only half").rename(place / f"{halved.stem}.1.json")
    unfinished, lost = place / f"{whole.name}.tmp", place / f"{compressed.name.split('.')[0]}.lost"
    for path in unfinished, lost:
        path.touch(0o600)
    damaged = leave("", content=b'{"logs": [')
    bomb = leave("", suffix=".json.gz", content=gzip.compress(b'{"logs": [{"message": "bomb"}]}' + b" " * (1 << 26)))
    writable = leave("others may write to it")
    writable.chmod(0o666)
    link = leave("behind a link")
    link.unlink()
    link.symlink_to(leave("of no owner", "0000000000ab-0123456789abcdef"))
    # Of a Python process, alive or dead; and of one that never listened.
    locked = leave("locked", "0000000000ac-0123456789abcdef")
    die("0000000000ac-0123456789abcdef")
    (place / "0000000000ac-0123456789abcdef.lock").touch()
    unknown = leave("unknown", "0000000000ad-0123456789abcdef")
    last = leave("last")

    idle = start(app, IDLE, tmp_path)
    until(lambda: not last.exists(), "the last one is sent")
    idle.kill()
    error = end(idle)
    assert sorted(str(entry["message"]) for entry in server.stored[1:]) == [
        "compressed", "half .0", "half .1", "half of it is missing", "last", "whole",
    ]  # fmt: skip
    assert {request.key for request in server.requests} >= {whole.stem, f"{replaced.stem}.0", f"{replaced.stem}.1"}
    left = {path.name for path in place.iterdir() if not path.name.endswith((".sock", ".claim"))}
    assert {writable.name, link.name, locked.name, unknown.name, "dead"} <= left
    assert not left & {whole.name, compressed.name, unfinished.name, lost.name, damaged.name, bomb.name, halved.name}
    assert {path.name for path in (place / "dead").iterdir()} == {f"{damaged.name}.damaged", f"{bomb.name}.damaged"}
    for path in damaged, bomb:
        assert f"{path.name} cannot be sent and is in dead/" in error
    for path in writable, link:
        assert f"{path.name} cannot be sent and stays there" in error
    assert error.count("cannot be sent") == 4
    assert [path.name for path in place.glob(f"{OWNER}.*.claim")], "there is something left, so it stays claimed"
    # Whoever claimed it is dead by now, so another one claims it, and what may be sent meanwhile is.
    writable.chmod(0o600)
    link.unlink()
    idle = start(app, IDLE, tmp_path)
    until(lambda: not list(place.glob(f"{OWNER}*")), "the owner has left nothing")
    assert end(idle) == ""
    assert server.stored[-1]["message"] == "others may write to it"
