"""Files of the spool: names, modes, writing and reading, and what is passed over."""

from __future__ import annotations

import gzip
import json
import os
import stat
from pathlib import Path

import pytest

from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.spool import destination, survey
from logcollector_handler.delivery.spool.directory import NotABodyError
from logcollector_handler.delivery.spool.files import SpoolFiles, open_name
from tests.delivery.harness import WIRE, line
from tests.delivery.spool.processes import URL, Process

OWNER = f"{'0' * 11}1-{'a' * 16}"
ID = f"{OWNER}-00000001"
BODY = f"{ID}.json"


@pytest.fixture
def directory(tmp_path: Path) -> SpoolFiles:
    made = SpoolFiles(tmp_path / "logs.test", ".json", max_body=1000, fsync=True, reporter=Reporter())
    made.place.make()
    return made


@pytest.mark.parametrize("drawn", [ID, f"{ID}{'b' * 16}"], ids=["as version 0.1.0 drew it", "as it is drawn now"])
def test_files_are_known_by_the_id_in_their_names(directory: SpoolFiles, drawn: str) -> None:
    names = [f"{drawn}.json", f"{drawn}.0.json.gz", f"{drawn}.1.0.json", f"{drawn}.open", f"{drawn}.1.json.tmp"]
    for name in names:
        (directory.place.path / name).touch(0o600)
    left = directory.scan()[OWNER]
    assert left.bodies == {drawn: False, f"{drawn}.0": True, f"{drawn}.1.0": False}
    assert (left.opened, left.temporaries) == ([drawn], names[-1:])


def test_a_batch_is_a_file_with_exactly_the_body_that_is_posted(root: Path) -> None:
    process = Process(root)
    plain = process.put("one", "two")
    packed = process.put("three", compressed=True)
    directory = process.outbox.directory
    assert process.files == [f"{plain.id}.json", f"{packed.id}.json.gz"]
    assert (directory / f"{plain.id}.json").read_bytes() == process.load(plain).body
    body = (directory / f"{packed.id}.json.gz").read_bytes()
    assert body == process.load(packed).body
    assert json.loads(gzip.decompress(body))["logs"][0]["message"] == "three"


def test_only_its_owner_can_read_it(root: Path) -> None:
    process = Process(root)
    process.put("one")
    process.write_lines("two")
    process.outbox.bury(process.load(process.put("three")))
    places = [root, process.outbox.directory, process.outbox.directory / "dead"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in places} == {0o700}
    files = [path for place in places for path in place.iterdir() if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_another_destination_is_another_directory(root: Path) -> None:
    here = Process(root)
    here.put("here")
    here.die()
    there = Process(root, url="http://other.test")
    there.look()
    assert there.messages() == []
    names = {
        destination(url, "collector")
        for url in (URL, "http://logs.test:8000", "https://logs.test:8000/prefix", "http://logs.test")
    }
    assert len(names) == 4
    assert destination("http://me:secret@logs.test:8000/prefix", "collector") == destination(URL, "collector")


def test_a_file_has_its_name_only_when_it_is_complete(directory: SpoolFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    write = os.write

    def slowly(descriptor: int, data: memoryview) -> int:
        seen.append([path.name for path in directory.place.path.iterdir()])
        return write(descriptor, data[:2])

    monkeypatch.setattr(os, "write", slowly)
    directory.write(BODY, b"body!")
    assert seen == [[f"{BODY}.tmp"]] * 3
    assert [path.name for path in directory.place.path.iterdir()] == [BODY]
    assert directory.place.read(BODY, 5) == b"body!"


def test_a_file_that_cannot_be_written_leaves_nothing(directory: SpoolFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        directory.write(BODY, b"body")
    assert list(directory.place.path.iterdir()) == []


def test_a_link_is_never_written_through_or_read(directory: SpoolFiles, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    for name in (BODY, f"{BODY}.tmp", open_name(ID)):
        (directory.place.path / name).symlink_to(target)
    with pytest.raises(NotABodyError, match="not a file"):
        directory.place.read(BODY, 1000)
    with pytest.raises(OSError, match="symbolic"):
        directory.write(BODY, b"body")
    with pytest.raises(FileExistsError):
        directory.create_open(ID)
    assert target.read_text() == "mine"
    assert directory.scan() == {}


def test_what_is_no_regular_file_is_not_read_and_nobody_waits_for_it(directory: SpoolFiles) -> None:
    os.mkfifo(directory.place.path / BODY)
    with pytest.raises(NotABodyError, match="not a file"):
        directory.place.read(BODY, 1000)


def test_a_file_that_is_longer_than_any_body_is_not_read(directory: SpoolFiles) -> None:
    directory.write(BODY, b"x" * 1000)
    assert directory.place.read(BODY, directory.max_body) == b"x" * 1000
    directory.write(BODY, b"x" * 1001)
    with pytest.raises(NotABodyError, match="longer than 1000 bytes"):
        directory.place.read(BODY, directory.max_body)


def test_a_scan_tells_what_each_owner_has(directory: SpoolFiles) -> None:
    other = f"{'0' * 11}2-{'b' * 16}"
    for name in (
        f"{ID}.json",
        f"{ID}.0.json.gz",
        f"{OWNER}-00000002.open",
        f"{OWNER}-00000003.json.tmp",
        f"{ID}.lost",
        f"{ID[:-8]}{'0' * 24}.json",
        f"{other}.lock",
        f"{other}.new",
        f"{ID}.ndjson",
        f"{ID}.2.json",
        "notes.txt",
        "x.json",
    ):
        (directory.place.path / name).write_bytes(b"12345")
    found = directory.scan()
    assert set(found) == {OWNER, other}
    assert found[OWNER].bodies == {ID: False, f"{ID}.0": True, f"{ID[:-8]}{'0' * 24}": False}
    assert found[OWNER].opened == [f"{OWNER}-00000002"]
    assert found[OWNER].lost == {ID}
    assert found[OWNER].temporaries == [f"{OWNER}-00000003.json.tmp"]
    assert (found[other].bodies, found[other].opened, found[other].temporaries) == ({}, [], [])


def test_each_format_has_files_of_its_own(tmp_path: Path) -> None:
    one, other = (
        SpoolFiles(tmp_path, suffix, max_body=100, fsync=False, reporter=Reporter()) for suffix in (".json", ".x+y")
    )
    one.write(one.body(ID, False), b"one")
    other.write(other.body(ID, True), b"other")
    assert one.scan()[OWNER].bodies == {ID: False}
    assert other.scan()[OWNER].bodies == {ID: True}


@pytest.mark.parametrize("rest", [b"", line("three"), line("three")[:-5], b"\0" * 100, b'"}\n', b"\0\0\n", b"\xff\n"])
def test_of_an_open_file_the_whole_lines_count(directory: SpoolFiles, rest: bytes) -> None:
    """A line that an exception or a crash cut short may be followed by the end of a longer one that it overwrote."""
    descriptor = directory.create_open(ID)
    os.pwrite(descriptor, line("two") + b"\n" + rest, len(line("one")) + 1)
    os.pwrite(descriptor, line("one") + b"\n", 0)
    os.close(descriptor)
    assert [each for each in directory.lines(ID) if WIRE.is_line(each)] == [line("one"), line("two")]


@pytest.mark.parametrize("name", ["notes.txt", "x.json", ".hidden", "0" * 12 + ".json.gz"])
def test_a_foreign_file_is_left_alone(root: Path, name: str) -> None:
    process = Process(root)
    process.put("one")
    foreign = process.outbox.directory / name
    foreign.write_text("mine")
    process.look()
    assert process.messages() == [["one"]]
    assert foreign.read_text() == "mine"


def test_a_survey_tells_what_lies_where_and_changes_nothing(root: Path) -> None:
    dead, living, elsewhere = Process(root), Process(root), Process(root, url="http://other.test")
    dead.put("left behind")
    dead.write_lines("left behind, too")
    dead.die()
    size = len(living.load(living.put("alive")).body or b"")
    (living.outbox.directory / f"{living.ids.draw()}.json").symlink_to("/etc/passwd")
    elsewhere.outbox.bury(elsewhere.load(elsewhere.put("refused")))
    before = sorted(root.rglob("*"))
    held = {(each.destination, each.kind): (each.files, each.size) for each in survey(root)}
    assert held[destination(URL, "collector"), "alive"] == (1, size)
    assert held[destination(URL, "collector"), "dead"][0] == 2
    assert held[destination("http://other.test", "collector"), "refused"][0] == 1
    assert len(held) == 3
    assert sorted(root.rglob("*")) == before
