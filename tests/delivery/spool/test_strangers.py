"""Strangers: what belongs to another user, or what others may write to, is left alone and said; links are not followed.

The tests that need two users run as root, as in containers; root is then the one and `nobody` the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.delivery.spool.processes import Process

NOBODY = 65534

needs_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def given_away(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    os.chown(path, NOBODY, NOBODY)


def linked(path: Path) -> None:
    given_away(path.parent / "theirs")
    path.symlink_to(path.parent / "theirs")


def linked_to_ours(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def open_to_all(path: Path) -> None:
    path.mkdir(parents=True)
    path.chmod(0o777)


def refused(root: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    """A batch waits in memory, nothing is written, and people are told why."""
    process = Process(root)
    assert process.put("one").body is not None, "it waits in memory"
    with pytest.raises(OSError, match=words):
        process.write_lines("nowhere")
    process.look()
    said = capsys.readouterr().err
    assert words in said
    assert "wait in memory instead" in said
    assert process.messages() == [["one"]]
    assert [path for path in root.parent.rglob("*") if path.is_file() and not path.is_symlink()] == []


@needs_two_users
@pytest.mark.parametrize("make", [given_away, linked])
def test_a_spool_directory_of_another_user_is_not_used(
    root: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(root)
    refused(root, capsys, "belongs to user 65534, and this process is user 0")


@needs_two_users
def test_a_directory_of_another_user_for_the_server_is_not_used(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given_away(Process(root).outbox.directory)
    refused(root, capsys, "belongs to user 65534")


def test_a_directory_that_others_may_write_to_is_not_used(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_to_all(Process(root).outbox.directory)
    refused(root, capsys, "other users may write to")


def test_a_link_in_the_place_of_the_directory_is_not_followed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    linked_to_ours(Process(root).outbox.directory)
    refused(root, capsys, "is a link or a file, not a directory")


def test_a_spool_directory_may_be_a_link_that_this_user_made(root: Path) -> None:
    """As tools for releases make it, which link to a directory that outlives the release."""
    linked_to_ours(root)
    process = Process(root)
    assert process.put("one").body is None
    assert process.messages() == [["one"]]


@needs_two_users
def test_a_spool_directory_of_root_is_shared_by_users_who_each_have_their_own_below(root: Path) -> None:
    """A volume of a container belongs to root and is open to all. Seen from a process of another user."""
    open_to_all(root)
    for each in root.parents:
        if "pytest" in str(each):
            each.chmod(0o755)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
            process = Process(root)
            kept = process.put("one").body is None
            code = 0 if kept and process.outbox.directory.stat().st_uid == NOBODY else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@needs_two_users
@pytest.mark.parametrize("adopted", [True, False])
def test_a_file_of_another_user_is_neither_sent_nor_removed_and_waits(
    root: Path, adopted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(root)
    process.put("first")
    theirs = process.put("forged")
    process.put("last")
    path = process.outbox.directory / f"{theirs.id}.json"
    os.chown(path, NOBODY, NOBODY)
    user = process
    if adopted:
        process.die()
        user = Process(root)
        user.look()
    assert user.messages() == [["first"], ["last"]]
    assert path.exists()
    assert f"{path} belongs to user 65534" in capsys.readouterr().err
    user.clock.advance(60.0)
    assert user.messages() == []
    assert "belongs to" not in capsys.readouterr().err, "said once"
    os.chown(path, 0, 0)
    user.clock.advance(60.0)
    assert user.messages() == [["forged"]]


def test_a_file_that_others_may_write_to_is_not_sent(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = Process(root)
    path = process.outbox.directory / f"{process.put('changed by whom?').id}.json"
    path.chmod(0o666)
    assert process.messages() == []
    assert "other users may write to" in capsys.readouterr().err
    assert process.outbox.holds_before(1), "a flush does not say that it was sent"


@needs_two_users
@pytest.mark.parametrize("suffix", [".open", ".lock"])
def test_other_files_of_another_user_stay_where_they_are(root: Path, suffix: str) -> None:
    dead = Process(root)
    dead.write_lines("forged")
    dead.die()
    (path,) = dead.outbox.directory.glob(f"*{suffix}")
    os.chown(path, NOBODY, NOBODY)
    heir = Process(root)
    heir.look()
    assert heir.messages() == []
    assert path.exists()
    assert list(dead.outbox.directory.glob("*.open"))


@pytest.mark.parametrize("make", [linked_to_ours, pytest.param(linked, marks=needs_two_users)])
def test_a_link_in_the_place_of_dead_letters_costs_nobody_a_file(
    root: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(root, max_bytes=30_000)
    process.put("makes the directory")
    make(process.outbox.directory / "dead")
    other = process.outbox.directory / "dead" / process.files[1]
    other.write_text("not a dead letter")
    for number in range(20):
        process.put(f"{number}")
    assert process.outbox.bury(process.load(process.put("refused")))
    process.look()
    assert other.read_text() == "not a dead letter"
    assert len(list((process.outbox.directory / "dead").iterdir())) == 1
    assert "could not be kept" in capsys.readouterr().err


def test_what_the_spool_did_not_put_among_dead_letters_is_not_removed_for_room(root: Path) -> None:
    process = Process(root, max_bytes=30_000)
    process.outbox.bury(process.load(process.put("refused")))
    notes = process.outbox.directory / "dead" / "0 notes.txt"
    notes.write_text("looked at these on Monday")
    for number in range(20):
        process.put(f"{number}")
    assert [path.name for path in notes.parent.iterdir()] == [notes.name]


def test_a_link_in_the_place_of_the_numbers_is_not_followed(root: Path) -> None:
    process = Process(root)
    linked_to_ours(process.outbox.directory.parent / "usage")
    process.outbox.directory.mkdir(mode=0o700)
    (process.outbox.directory / "usage").symlink_to(root / "elsewhere")
    assert process.put("one").body is not None
    assert list((root / "elsewhere").iterdir()) == []
