"""Bodies: a file that is not what was written is never sent, stops nobody, and is counted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.delivery.spool.processes import Process


def in_its_place(path: Path, make: Callable[[], None]) -> None:
    path.unlink()
    make()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a torn tail": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "no content": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
    "another shape": lambda path: path.write_bytes(b'{"logs": 5}'.ljust(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a directory": lambda path: in_its_place(path, path.mkdir),
    "a link": lambda path: in_its_place(path, lambda: path.symlink_to("/etc/passwd")),
    "a pipe": lambda path: in_its_place(path, lambda: os.mkfifo(path)),
}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("adopted", [True, False])
def test_a_damaged_file_stops_nobody_and_is_counted(
    root: Path, name: str, compressed: bool, adopted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(root)
    process.put("first")
    hurt = process.put("hurt", compressed=compressed)
    process.put("last")
    if adopted:
        process.die()
    file = f"{hurt.id}.json{'.gz' if compressed else ''}"
    DAMAGE[name](process.outbox.directory / file)
    user = Process(root) if adopted else process
    if adopted:
        user.look()
    assert user.messages() == [["first"], ["last"]]
    # What is no file at all is never adopted.
    never_adopted = adopted and name in ("gone", "a directory", "a link", "a pipe")
    assert user.dropped == ({} if adopted else {"spool_damaged": 1})
    assert user.ledger.snapshot().adopted.get("dropped", 0) == (adopted and not never_adopted)
    assert sum(user.outbox._shelf.charges.values()) == 0
    if not never_adopted:
        assert f"{file} is damaged or gone" in capsys.readouterr().err
        assert name == "gone" or os.path.lexists(user.outbox.directory / "dead" / f"{file}.damaged")


def test_a_file_that_is_damaged_after_the_first_attempt_is_not_sent_nor_cut(root: Path) -> None:
    """Of an adopted batch too: the one that was sent before was another body, under the same key."""
    process = Process(root)
    hurt = process.put("one", "two")
    process.die()
    user = Process(root)
    user.look()
    batch = user.outbox.next()
    assert batch is not None
    assert user.outbox.begin(batch) is not None
    user.outbox.end(batch)
    path = user.outbox.directory / f"{hurt.id}.json"
    path.write_bytes(path.read_bytes().replace(b"two", b"2"))
    assert user.outbox.load(batch) is None
    assert user.outbox.begin(batch) is None
    assert user.ledger.snapshot().adopted == {"dropped": 2}
