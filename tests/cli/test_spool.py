"""`logcollector spool`: lists the batches in a spool directory, and sends those of dead processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from logcollector_handler.cli import main, spool
from logcollector_handler.delivery.spool import Holding, destination, owners
from logcollector_handler.delivery.spool.files import SpoolFiles
from tests.delivery.spool.processes import Process, Writer
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer, refuse_records
from tests.integration.faulty_connections import Request
from tests.integration.programs import PRELUDE

pytestmark = pytest.mark.integration


def left_behind(root: Path, url: str, *messages: str) -> Process:
    process = Process(root, url=url)
    for message in messages:
        process.put(message)
    process.die()
    return process


def test_ls_lists_batches_by_server_and_by_the_state_of_their_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(tmp_path, url="http://logs.test")
    process.put("a")
    process.outbox.bury(process.load(process.put("b")))
    process.die()
    left_behind(tmp_path, "http://other.test:8000", "c", "d")
    assert main(["spool", "ls", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "logs.test" in lines[0]
    assert "1 files" in lines[0]
    assert "left by a dead process" in lines[0]
    assert "refused" in lines[1]
    assert "other.test_8000" in lines[2]
    assert "2 files" in lines[2]


def test_ls_reports_an_empty_and_a_missing_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "ls", str(tmp_path)]) == 0
    assert "no batches" in capsys.readouterr().out
    assert main(["spool", "ls", str(tmp_path / "missing")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_replay_sends_the_batches_of_dead_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer([answer(503)], refuse_records(lambda entry: entry["message"] == "bad", 400)) as server:
        left_behind(tmp_path, server.url, "a", "b", "bad")
        left_behind(tmp_path, server.url, "c")
        left_behind(tmp_path, "http://other.test", "not here")
        assert main(["spool", "replay", str(tmp_path), "--server-url", server.url]) == 0
        assert sorted(str(entry["message"]) for entry in server.stored) == ["a", "b", "c"]
    out = capsys.readouterr().out
    assert "4 batches to send" in out
    assert "3 records delivered, 1 refused, 0 damaged; 0 batches left" in out


def test_replay_sends_what_many_left_although_it_locks_few_of_them_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_AT_ONCE", 3)
    with FaultyServer(default=refuse_records(lambda entry: entry["message"] == "0", 503)) as server:
        for number in range(5):
            Writer(tmp_path, server.url).put(f"{number}")
            left_behind(tmp_path, server.url, f"dead {number}")
        arguments = ["spool", "replay", str(tmp_path), "--server-url", server.url]
        assert main([*arguments, "--seconds", "0.1"]) == 1
        out = capsys.readouterr().out
        assert "10 batches to send" in out
        left = len(list(tmp_path.glob("*/*.json*")))
        assert f"{left} batches left" in out
        server.default = answer()
        assert main(arguments) == 0
        assert len(server.stored) == 10
        assert len(set(server.stored_keys)) == 10
    assert "0 batches left" in capsys.readouterr().out
    assert list(tmp_path.glob("*/*.json*")) == []


def test_replay_ends_although_others_go_on_handing_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer() as server:
        writer = Writer(tmp_path, server.url)

        def next_one(_request: Request) -> Behaviour:
            if len(server.requests) < 200:
                writer.put("new")
            return answer()

        server.default = next_one
        writer.put("old")
        assert main(["spool", "replay", str(tmp_path), "--server-url", server.url]) == 0
        assert len(server.requests) < 10
    assert "0 batches left" in capsys.readouterr().out


def test_replay_on_a_full_disk_sends_one_open_file_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with FaultyServer() as server:
        writer = Writer(tmp_path, server.url)
        for message in "abc":
            writer.put_written(message)
        monkeypatch.setattr(SpoolFiles, "write", full)
        assert main(["spool", "replay", str(tmp_path), "--server-url", server.url]) == 0
        assert [entry["message"] for entry in server.stored] == ["a", "b", "c"]
    assert "0 batches left" in capsys.readouterr().out
    assert list(tmp_path.glob("*/*.open")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_root_replays_what_a_service_left_as_the_user_of_that_service(tmp_path: Path) -> None:
    """What it writes, as the halves of a batch and the dead letters, the service must be able to read."""
    user = 65534
    for each in tmp_path.parents:
        if "pytest" in str(each):
            each.chmod(0o755)
    tmp_path.chmod(0o755)
    with FaultyServer(default=refuse_records(lambda entry: entry["message"] == "bad", 400)) as server:
        process = Process(tmp_path / "spool", url=server.url)
        process.put("good", "bad")
        process.die()
        for path in ((tmp_path / "spool"), *(tmp_path / "spool").rglob("*")):
            os.chown(path, user, user)
        assert main(["spool", "replay", str(tmp_path / "spool"), "--server-url", server.url]) == 0
        assert [entry["message"] for entry in server.stored] == ["good"]
    assert os.geteuid() == 0
    letters = list((process.outbox.directory / "dead").iterdir())
    assert len(letters) == 1
    assert {path.stat().st_uid for path in (tmp_path / "spool").rglob("*")} == {user}


def test_replay_without_a_server_gives_up_and_keeps_every_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyServer(default=answer(503)) as server:
        process = left_behind(tmp_path, server.url, "a")
        arguments = ["spool", "replay", str(tmp_path), "--server-url", server.url, "--seconds", "0.1"]
        assert main(arguments) == 1
        assert len(process.files) == 1
    assert "1 batches left" in capsys.readouterr().out


def replay(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a replay for `http://logs.test`, which is never asked, and return its status, stdout and stderr."""
    capsys.readouterr()
    status = main(["spool", "replay", str(directory), "--server-url", "http://logs.test"])
    return status, *capsys.readouterr()


def test_replay_of_what_is_no_spool_directory_fails_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = replay(tmp_path / "missing", capsys)
    assert (status, out, "missing cannot be read (No such file or directory)" in err) == (1, "", True)
    (tmp_path / "file").touch()
    status, out, err = replay(tmp_path / "file", capsys)
    assert (status, out, "file is a link or a file, not a directory" in err) == (1, "", True)
    (tmp_path / "empty").mkdir()
    status, out, err = replay(tmp_path / "empty", capsys)
    assert (status, out, "holds nothing for http://logs.test with wire collector: it is empty." in err) == (1, "", True)
    status, out, err = replay(tmp_path, capsys)
    assert (status, out, "holds nothing for http://logs.test with wire collector." in err) == (1, "", True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"], "nothing is made"


def test_replay_of_a_directory_that_cannot_be_read_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_root: Path) -> list[Holding]:
        raise PermissionError(errno.EACCES, "Permission denied")

    # Root may read everything, so no mode denies it to this test.
    monkeypatch.setattr(spool, "survey", denied)
    status, _, err = replay(tmp_path, capsys)
    assert (status, "cannot be read (Permission denied)" in err) == (1, True)


def test_replay_of_batches_for_another_server_only_fails_and_says_what_lies_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = left_behind(tmp_path, "http://other.test:8000", "c", "d")
    for _ in range(2):
        status, out, err = replay(tmp_path, capsys)
        assert (status, out) == (1, "")
        first, line = err.splitlines()
        assert first.endswith("holds nothing for http://logs.test with wire collector. There is:")
        assert line.startswith("other.test_8000")
        assert "2 files" in line
        # An own directory that is empty changes nothing.
        (tmp_path / destination("http://logs.test", "collector")).mkdir(mode=0o700, exist_ok=True)
    assert len(other.files) == 2


def test_replay_and_ls_of_the_directory_of_one_server_name_the_one_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = left_behind(tmp_path, "http://logs.test", "a")
    status, _, err = replay(process.outbox.directory, capsys)
    assert (status, f"it is the directory of one server in {tmp_path}, which is the one to name" in err) == (1, True)
    assert main(["spool", "ls", str(process.outbox.directory)]) == 0
    assert "which is the one to name" in capsys.readouterr().out


def test_replay_leaves_what_a_living_process_has_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(tmp_path, url="http://logs.test")
    process.put("a")
    status, out, err = replay(tmp_path, capsys)
    assert (status, err) == (0, "")
    assert "0 batches to send" in out
    assert "Running processes send theirs themselves:" in out
    assert "of a living process" in out.splitlines()[-1]
    assert len(process.files) == 1
    process.die()


def test_replay_of_a_spool_in_which_nothing_is_left_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when it is run again."""
    process = Process(tmp_path, url="http://logs.test")
    process.outbox.bury(process.load(process.put("refused")))
    process.die()
    status, out, _ = replay(tmp_path, capsys)
    assert (status, "0 batches to send" in out) == (0, True)


def test_replay_reports_a_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "replay", str(tmp_path), "--server-url", "logs"]) == 2
    assert "server_url" in capsys.readouterr().err


def test_replay_beside_a_running_application_takes_none_of_its_batches_and_loses_nothing(tmp_path: Path) -> None:
    """The application logs and rotates files while its server stops and starts; meanwhile replays run in turn."""
    with FaultyServer(default=answer(503)) as server:
        left_behind(tmp_path, server.url, *(f"left{number}" for number in range(20)))
        program = f"""
        handler = configure(flush_interval=0.02, batch_size=50, spool_dir={str(tmp_path)!r}, durability="record")
        print("ready", flush=True)
        for n in range(4000):
            log.info("m%d", n)
            if n % 20 == 0: time.sleep(0.005)
        stats = handler.stats()
        print(handler.flush(30), handler.stats().accepted, handler.stats().delivered, dict(handler.stats().dropped))
        """
        application = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
            env={**os.environ, "SERVER": server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert application.stdout is not None
        assert application.stdout.readline() == "ready\n"
        server.default = lambda request: answer(503 if len(server.requests) % 40 == 0 else 200)
        replays = []
        while application.poll() is None:
            arguments = ["spool", "replay", str(tmp_path), "--server-url", server.url, "--seconds", "20"]
            script = f"from logcollector_handler.cli import main; raise SystemExit(main({arguments!r}))"
            replays.append(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False))
        out, err = application.communicate()
        assert out == "True 4000 4000 {}\n", err
        assert [replay.returncode for replay in replays] == [0] * len(replays)
        assert not [replay.stderr for replay in replays if "Traceback" in replay.stderr]
        stored = [str(entry["message"]) for entry in server.stored]
    assert Counter(stored) == Counter([*(f"left{number}" for number in range(20)), *(f"m{n}" for n in range(4000))])
    keys = [request.key for request in server.requests]
    assert len(keys) > len(set(keys)), "the server failed now and then"
