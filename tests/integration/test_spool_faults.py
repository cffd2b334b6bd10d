"""The spool of a real process on a disk that fails: full, not writable, removed, unreadable, littered."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages
from tests.integration.test_spool_processes import finish, start

pytestmark = pytest.mark.integration

#: An account that may not what root may, for tests that run as root, as in containers.
NOBODY = 65534
#: Become that account, when all that root alone can import is there.
BECOME_NOBODY = f"""
warm = configure(**{{**SETTINGS, "spool_dir": SETTINGS["spool_dir"] + "-warm"}})
log.info("warm"); warm.flush(); warm.close()
if not os.geteuid():
    os.setgid({NOBODY}); os.setuid({NOBODY})
"""


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage of a process that becomes somebody else could not be written when it ends."""
    for name in [each for each in os.environ if each.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


def let_others_in(path: Path) -> None:
    """Let other accounts pass the directories of pytest above a path."""
    for each in (path, *path.parents):
        if "pytest" in str(each):
            each.chmod(0o755)


def left_behind(server: FaultyServer, spool: Path, batches: int, *, batch_size: int) -> list[Path]:
    """The files, in order, of a process that died while the server was away."""
    server.default = answer(503)
    finish(
        start(
            server,
            spool,
            f"""
            handler = configure(batch_size={batch_size}, flush_interval=3600, **SETTINGS)
            for n in range({batches * batch_size}): log.info("m%d", n)
            handler.flush(2)
            os._exit(0)
            """,
        )
    )
    server.default = answer()
    files = sorted(spool.rglob("*.json*"))
    assert len(files) == batches
    return files


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_a_full_disk_degrades_to_memory_and_says_so(server: FaultyServer, tmp_path: Path, durability: str) -> None:
    """With a limit on the size of files, a write fails in the middle, as on a full disk."""
    out, err = finish(
        start(
            server,
            tmp_path,
            """
            import resource
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            handler = configure(flush_interval=0.05, enable_compression=False, **SETTINGS)
            log.info("before"); handler.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
            for n in range(200): log.info("m%d", n)
            print(handler.flush(60))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            log.info("after")
            print(handler.flush(60), dict(handler.stats().dropped))
            """,
            durability=durability,
        )
    )
    assert out.splitlines() == ["True", "True {}"], err
    assert "wait in memory instead" in err
    assert sorted(messages(server)) == sorted(["before", *(f"m{n}" for n in range(200)), "after"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_a_full_file_system_takes_what_it_can_and_memory_the_rest(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        server.default = answer(503)
        process = start(
            server,
            tmp_path,
            """
            handler = configure(flush_interval=0.05, enable_compression=False, batch_size=50, **SETTINGS)
            for n in range(1000): log.info("m%d %s", n, "x" * 100)
            print("logged", flush=True)
            sys.stdin.read()
            print(handler.flush(30), dict(handler.stats().dropped))
            """,
            durability=durability,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "logged\n"
        server.default = answer()
        out, err = finish(process)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert out == "True {}\n", err
    assert "wait in memory instead" in err
    assert sorted(each.split(" ")[0] for each in messages(server)) == sorted(f"m{n}" for n in range(1000))


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("durability", ["batch", "record"])
def test_a_directory_that_cannot_be_written_degrades_to_memory_and_says_so(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    (tmp_path / "spool").mkdir(mode=0o500)
    let_others_in(tmp_path)
    out, err = finish(
        start(
            server,
            tmp_path / "spool",
            BECOME_NOBODY
            + """
handler = configure(flush_interval=0.05, **SETTINGS)
for n in range(200): log.info("m%d", n)
print(handler.flush(60))
log.info("last")
began = time.monotonic()
import logcollector_handler.delivery.exit as lifecycle
lifecycle.drain()
print(time.monotonic() - began < 30)
""",
            durability=durability,
        )
    )
    assert out == "True\nTrue\n", err
    assert "Traceback" not in err
    assert "wait in memory instead" in err
    assert len(messages(server)) == 202


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_a_directory_that_is_removed_under_way_costs_only_what_was_in_it(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    server.default = answer(503)
    process = start(
        server,
        tmp_path / "spool",
        """
        handler = configure(flush_interval=0.05, **SETTINGS)
        for n in range(200): log.info("gone%d", n)
        while not handler.stats().requests: time.sleep(0.01)
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(200): log.info("kept%d", n)
        handler.flush(60)
        stats = handler.stats()
        print(stats.delivered, dict(stats.dropped), stats.pending)
        """,
        durability=durability,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    shutil.rmtree(tmp_path / "spool")
    server.default = answer()
    process.stdin.write("go\n")
    process.stdin.flush()
    out, err = finish(process)
    found = messages(server)
    assert {f"kept{n}" for n in range(200)} <= set(found), err
    assert len(found) == len(set(found))
    delivered, rest = out.split(" ", 1)
    lost = 400 - int(delivered)
    assert rest == f"{{'spool_damaged': {lost}}} 0\n" if lost else "{} 0\n"
    assert "damaged or gone" in err or not lost


def test_files_of_a_dead_process_that_cannot_be_used_stop_nobody(server: FaultyServer, tmp_path: Path) -> None:
    files = left_behind(server, tmp_path, 12, batch_size=100)
    hurt = files[1:10]
    lost = [json.loads(gzip.decompress(path.read_bytes())) for path in hurt]
    os.truncate(hurt[0], hurt[0].stat().st_size - 4)
    os.truncate(hurt[1], 30)
    os.truncate(hurt[2], 0)
    hurt[3].write_bytes(b"not gzip")
    hurt[4].write_bytes(gzip.compress(b'{"logs": [{"message": "x"'))
    hurt[5].rename(hurt[5].with_name("another name.json.gz"))
    hurt[6].unlink()
    hurt[6].mkdir()
    hurt[7].unlink()
    hurt[7].symlink_to("/etc/hostname")
    hurt[8].write_bytes(gzip.compress(b'{"logs": []}'))
    (files[0].parent / "notes.txt").write_text("foreign")
    (files[0].parent / f"{'0' * 12}-{'a' * 16}.lock").symlink_to("/etc/hostname")
    out, err = finish(
        start(
            server,
            tmp_path,
            """
            handler = configure(**SETTINGS)
            log.info("heir")
            end = time.monotonic() + 60
            while handler.stats().adopted.get("delivered", 0) < 300 and time.monotonic() < end: time.sleep(0.01)
            print(handler.flush(60), handler.stats().adopted["delivered"])
            """,
        )
    )
    assert out == "True 300\n", err
    gone = {entry["message"] for body in lost for entry in body["logs"]}
    # The server may have been told already that records were lost.
    arrived = {each for each in messages(server) if "log records were lost" not in each}
    assert arrived == {f"m{n}" for n in range(1200)} - gone | {"heir"}
    assert "is damaged or gone" in err
    assert (files[0].parent / "notes.txt").read_text() == "foreign"
    assert Path("/etc/hostname").exists()
    assert len(list((files[0].parent / "dead").iterdir())) >= 5, "what is left of them is kept"


@pytest.mark.usefixtures("unmeasured")
def test_a_file_that_may_not_be_read_stops_nobody(server: FaultyServer, tmp_path: Path) -> None:
    """Written by another account, say."""
    files = left_behind(server, tmp_path, 3, batch_size=10)
    files[1].chmod(0)
    let_others_in(tmp_path)
    if os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.rglob("*")):
            if path != files[1]:
                os.chown(path, NOBODY, NOBODY)
    _, err = finish(
        start(
            server,
            tmp_path,
            BECOME_NOBODY
            + """
handler = configure(**SETTINGS)
log.info("heir")
end = time.monotonic() + 60
while handler.stats().adopted.get("delivered", 0) < 20 and time.monotonic() < end: time.sleep(0.01)
handler.flush(60)
""",
        )
    )
    expected = {f"m{n}" for n in (*range(10), *range(20, 30))} | {"heir", "warm"}
    assert set(messages(server)) == expected, err
    assert files[1].name in err
