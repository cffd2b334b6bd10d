"""`logcollector spool`: what lies in a spool directory, and how it gets out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from logcollector_handler.cli import main
from tests.delivery.test_spool import Process
from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer, refuse_records

pytestmark = pytest.mark.integration


def left_behind(root: Path, url: str, *messages: str) -> Process:
    process = Process(root, url=url)
    for message in messages:
        process.put(message)
    process.die()
    return process


def test_ls_tells_what_lies_where_and_whose_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = Process(tmp_path, url="http://logs.test")
    process.put("a")
    process.outbox.bury(process.put("b"))
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


def test_ls_of_nothing_and_of_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "ls", str(tmp_path)]) == 0
    assert "no batches" in capsys.readouterr().out
    assert main(["spool", "ls", str(tmp_path / "missing")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_replay_sends_what_dead_processes_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer([answer(503)], refuse_records(lambda entry: entry["message"] == "bad", 400)) as server:
        left_behind(tmp_path, server.url, "a", "b", "bad")
        left_behind(tmp_path, server.url, "c")
        left_behind(tmp_path, "http://other.test", "not here")
        assert main(["spool", "replay", str(tmp_path), "--server-url", server.url]) == 0
        assert sorted(str(entry["message"]) for entry in server.stored) == ["a", "b", "c"]
    out = capsys.readouterr().out
    assert "4 batches to send" in out
    assert "3 records delivered, 1 refused, 0 damaged; 0 batches left" in out


def test_replay_gives_up_in_the_end_and_leaves_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(default=answer(503)) as server:
        process = left_behind(tmp_path, server.url, "a")
        arguments = ["spool", "replay", str(tmp_path), "--server-url", server.url, "--seconds", "0.1"]
        assert main(arguments) == 1
        assert len(process.files) == 1
    assert "1 batches left" in capsys.readouterr().out


def test_replay_of_nothing_and_with_a_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "replay", str(tmp_path / "none"), "--server-url", "http://logs.test"]) == 0
    assert main(["spool", "replay", str(tmp_path), "--server-url", "logs"]) == 2
    assert "server_url" in capsys.readouterr().err
