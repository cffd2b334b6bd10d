"""File systems that cannot do everything: sync a directory, say a name, or open a file just now."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.outbox import Replaced
from tests.delivery.spool.processes import Process, fill_the_disk

PASSING = [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EIO, errno.EACCES, errno.ENOMEM]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF])
def test_a_directory_that_cannot_be_synced_keeps_batches_all_the_same_and_says_so(
    root: Path, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    process = Process(root, fsync=True)
    for message in ("one", "two"):
        assert process.put(message).body is None
    assert process.messages() == [["one"], ["two"]]
    assert process.files == []
    said = capsys.readouterr().err
    assert said.count("cannot sync directories") == 1


def test_a_name_that_no_file_can_have_keeps_batches_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(tmp_path / "spo\0ol")
    assert process.put("one").body is not None
    with pytest.raises(OSError, match="no such name"):
        process.write_lines("nowhere")
    process.look()
    assert process.messages() == [["one"]]
    assert "wait in memory instead" in capsys.readouterr().err


def test_a_name_that_the_locale_cannot_say_keeps_batches_in_memory(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from logcollector_handler.delivery.spool import survey
from tests.delivery.spool.processes import Process
process = Process(Path({str(tmp_path)!a}) / "sp\\u00f6ol")
print(process.put("one").body is not None, process.put("two").body is not None)
process.look()
process.outbox.drop_memory("shutdown")
process.outbox.close()
try:
    survey(process.outbox.directory.parent)
except OSError as error:
    print(error.strerror)
"""
    env = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.splitlines() == ["True True", "the file system's encoding has no such name"]
    assert done.stderr.count("wait in memory instead") == 1


class Failing:
    """From now on a file, or everything, cannot be opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int, only: str = "") -> None:
        real = os.open
        self.fails = True

        def open_file(path: Any, *arguments: Any, **options: Any) -> int:
            if self.fails and (not only or path == only):
                raise OSError(code, os.strerror(code))
            return real(path, *arguments, **options)

        monkeypatch.setattr(os, "open", open_file)


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("adopted", [True, False])
def test_a_file_that_cannot_be_read_now_waits_and_the_others_go_on(
    root: Path, code: int, adopted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(root)
    process.put("first")
    hurt = process.put("hurt")
    process.put("last")
    user = process
    if adopted:
        process.die()
        user = Process(root)
        user.look()
    failing = Failing(monkeypatch, code, f"{hurt.id}.json")
    assert user.messages() == [["first"], ["last"]]
    assert "cannot be read now" in capsys.readouterr().err
    assert len(user.outbox) == 1
    assert user.outbox.holds_before(1) is not adopted, "a flush waits for our own"
    rest = user.outbox.look()
    assert rest is not None
    assert 0 < rest <= 1.0
    user.clock.advance(rest)
    assert user.messages() == []
    second = user.outbox.look()
    assert second is not None
    assert second > rest, "the pauses grow"
    failing.fails = False
    user.clock.advance(second)
    assert user.messages() == [["hurt"]]
    assert user.dropped == {}
    assert user.ledger.snapshot().adopted.get("dropped", 0) == 0


def test_a_time_without_descriptors_loses_nothing_and_keeps_the_order(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(root)
    for number in range(50):
        process.put(f"{number}")
    failing = Failing(monkeypatch, errno.EMFILE)
    for _ in range(10):
        assert process.messages() == []
        process.clock.advance(0.4)
    failing.fails = False
    process.clock.advance(60.0)
    assert process.messages() == [[f"{number}"] for number in range(50)]
    assert (process.dropped, process.files) == ({}, [])


def test_a_directory_that_cannot_be_listed_now_is_looked_at_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Process(root)
    dead.put("left behind")
    dead.write_lines("left behind, too")
    dead.die()
    heir = Process(root)
    with monkeypatch.context() as patch:
        scandir = os.scandir
        calls = [0]

        def now_and_then(place: int) -> Any:
            calls[0] += 1
            if calls[0] % 2 == 0:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return scandir(place)

        patch.setattr(os, "scandir", now_and_then)
        for _ in range(3):
            heir.look()
    assert calls[0] > 3
    heir.look()
    heir.look()
    assert heir.messages() == [["left behind"], ["left behind, too"]]


def test_a_file_that_could_not_be_removed_is_removed_with_the_next_look(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(root)
    batch = process.put("one")
    failing = Failing(monkeypatch, errno.EMFILE)
    assert process.outbox.remove(batch)
    failing.fails = False
    assert process.files == [f"{batch.id}.json"]
    assert "cannot be removed now" in capsys.readouterr().err
    process.look()
    assert process.files == []


def test_a_copy_on_disk_that_cannot_be_read_now_is_not_given_up_for_halves_in_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(root)
    batch_id = process.write_lines("a", "b")
    fill_the_disk(process)
    batch = process.put_as(batch_id, "a", "b")
    halves = process.halves(batch)
    with monkeypatch.context() as patch:
        Failing(patch, errno.EMFILE, f"{batch_id}.open")
        assert process.outbox.replace(batch, halves) is Replaced.NO_ROOM
    process.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["a", "b"]]
