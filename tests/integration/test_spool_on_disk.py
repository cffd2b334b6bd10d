"""What a real process has on the disk when a logging call returns, and who may read it."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages
from tests.integration.test_spool_processes import deliver, finish, start

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(1)",
        "os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "threading.Thread(target=lambda: [log.info('t%d', n) for n in range(100)] + [os._exit(1)]).start()",
    ],
)
def test_record_by_record_whatever_the_end_all_that_was_accepted_is_there(
    server: FaultyServer, tmp_path: Path, end: str
) -> None:
    server.default = answer(503)
    finish(
        start(
            server,
            tmp_path,
            f"configure(**SETTINGS)\nfor n in range(2345): log.info('m%d', n)\n{end}\ntime.sleep(60)",
            durability="record",
        )
    )
    server.default = answer()
    assert deliver(server, tmp_path).startswith("0 ")
    more = [f"t{n}" for n in range(100)] if "Thread" in end else []
    assert sorted(messages(server)) == sorted(["heir", *(f"m{n}" for n in range(2345)), *more])


def test_with_fsync_a_record_has_reached_the_disk_when_the_call_returns(server: FaultyServer, tmp_path: Path) -> None:
    out, _ = finish(
        start(
            server,
            tmp_path,
            """
            synced, real = [], os.fsync
            def fsync(descriptor):
                synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
                real(descriptor)
            os.fsync = fsync
            handler = configure(flush_interval=3600, fsync=True, **SETTINGS)
            counts = []
            for n in range(3):
                log.info("m%d", n)
                counts.append(sum(name.endswith(".open") for name in synced))
            print(counts)
            del synced[:]
            handler.flush()
            print(sorted(os.path.splitext(name)[1] for name in synced))
            """,
            durability="record",
        )
    )
    counts, others = out.splitlines()
    assert counts == "[1, 2, 3]"
    assert ".tmp" in others, "the batch"
    assert sys.platform != "linux" or len(json.loads(others.replace("'", '"'))) == 2, "and its directory"


def test_only_the_owner_of_the_process_can_read_what_lies_in_the_spool(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer(503)
    finish(
        start(
            server,
            tmp_path / "spool",
            "os.umask(0)\nconfigure(**SETTINGS)\nfor n in range(1500): log.info('x')\nos._exit(0)",
            durability="record",
        )
    )
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
