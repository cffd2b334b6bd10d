"""Owners: locks that say who lives, whatever forks, exceptions and other processes do."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.spool import owners
from tests.delivery.spool.processes import Process, other_process


def test_what_a_living_process_has_is_left_alone(root: Path) -> None:
    living = Process(root)
    living.put("theirs")
    assert other_process(root, "print(other.messages())") == "[]"
    # Asking whether it lives, in its own process, does not cost it the lock.
    assert owners.is_alive(living.outbox.directory / f"{living.ids.owner}.lock")
    assert other_process(root, "print(other.messages())") == "[]"


def test_another_handler_in_the_same_process_leaves_it_alone_too(root: Path) -> None:
    Process(root).put("theirs")
    other = Process(root)
    other.look()
    assert other.messages() == []


def test_whether_an_owner_lives_is_seen_from_another_process(root: Path) -> None:
    living, dead = Process(root), Process(root)
    living.put("a")
    dead.put("b")
    dead.die()
    script = "from logcollector_handler.delivery.spool import survey\n"
    script += f"print(sorted(each.kind for each in survey(Path({str(root)!r}))))"
    assert other_process(root, "") == ""
    seen = other_process(root.parent / "elsewhere", script)
    # The first of the two processes had adopted the dead one's, and died without sending it.
    assert seen == "['alive', 'dead']"


def test_a_forked_child_does_not_keep_its_parents_lock_alive(root: Path) -> None:
    process = Process(root)
    process.put("left behind")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        # Lives on without having closed anything.
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        process.die()
        heir = Process(root)
        heir.look()
        assert heir.messages() == [["left behind"]]
    finally:
        os.write(writer, b"x")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_a_forked_child_that_closes_what_it_inherited_leaves_the_lock_to_its_parent(root: Path) -> None:
    process = Process(root)
    process.put("mine")
    (descriptor,) = process.outbox._owners._held.values()
    child = os.fork()
    if not child:
        process.outbox.abandon()
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(2 if process.ids.owner in owners._holders else 0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "the child still has the descriptor, or takes the owner for its own"
    assert other_process(root, "print(other.messages())") == "[]"


def test_when_nothing_of_ours_is_left_the_lock_goes(root: Path) -> None:
    process = Process(root)
    batch = process.put("a")
    lock = process.outbox.directory / f"{process.ids.owner}.lock"
    process.outbox.close()
    assert lock.exists(), "the batch is still there"
    process.outbox.remove(batch)
    process.outbox.close()
    assert not lock.exists()
    process.put("b")
    assert lock.exists()


def test_the_lock_stays_while_an_open_file_is_there(root: Path) -> None:
    process = Process(root)
    batch_id = process.write_lines("a")
    process.outbox.close()
    assert other_process(root, "print(other.messages())") == "[]"
    process.put_as(batch_id, "a")
    assert process.messages() == [["a"]]
    process.outbox.close()
    assert list(process.outbox.directory.iterdir()) == []


def test_others_that_look_around_do_not_disturb_a_lock_that_is_being_made(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Process(root)
    other.put("theirs")
    process = Process(root)
    rename = os.rename

    def after_a_look(source: str, target: str, **directories: int) -> None:
        monkeypatch.setattr(os, "rename", rename)
        with monkeypatch.context() as patch:
            # As seen from another process.
            patch.setattr(owners, "_holders", {other.ids.owner: other.outbox._owners})
            other.look()
        rename(source, target, **directories)

    monkeypatch.setattr(os, "rename", after_a_look)
    assert process.put("mine").body is None, "it waits in memory"


def test_a_lock_that_never_was_one_is_cleared_away_and_one_removed_too_early_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(root)
    process.put("one")
    unborn = process.outbox.directory / f"{'0' * 12}-{'1' * 16}.new"
    unborn.touch()
    os.utime(unborn, (process.clock.time() - 100,) * 2)
    process.look()
    assert not unborn.exists()
    slow = Process(root)
    rename = os.rename

    def too_late(source: str, target: str, **directories: int) -> None:
        monkeypatch.setattr(os, "rename", rename)
        os.unlink(source, dir_fd=directories["src_dir_fd"])
        rename(source, target, **directories)

    monkeypatch.setattr(os, "rename", too_late)
    assert slow.put("two").body is None, "it waits in memory"


def test_a_logging_call_inside_the_making_of_the_lock_does_not_undo_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that logs while its thread locks the owner, with `durability: record`."""
    process = Process(root)
    rename = os.rename

    def interrupted(source: str, target: str, **directories: int) -> None:
        monkeypatch.setattr(os, "rename", rename)
        process.write_lines("inside")
        rename(source, target, **directories)

    monkeypatch.setattr(os, "rename", interrupted)
    process.write_lines("outside")
    assert len(process.files) == 2
    assert other_process(root, "print(other.messages())") == "[]"


def test_a_lock_whose_file_was_removed_while_it_was_taken_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Process(root)
    dead.put("a")
    dead.die()
    heir = Process(root)

    def removed(descriptor: int, operation: int) -> None:
        # As another heir does that has sent everything.
        (heir.outbox.directory / f"{dead.ids.owner}.lock").unlink()

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "lockf", removed)
        heir.look()
    assert heir.messages() == []
    # It is not taken for one of this process: another handler here may have it.
    second = Process(root)
    second.look()
    assert second.messages() == [["a"]]


def test_a_lock_that_its_owner_made_again_is_not_removed(root: Path) -> None:
    dead = Process(root)
    dead.put("a")
    dead.die()
    heir = Process(root)
    heir.look()
    lock = heir.outbox.directory / f"{dead.ids.owner}.lock"
    lock.unlink()
    lock.touch()
    heir.outbox.close()
    assert lock.exists()


def test_a_lock_that_its_owner_makes_again_while_it_is_being_removed_is_still_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner had lost it, or had nothing left and logs again."""
    owner = Process(root)
    owner.put("a")
    owner.die()
    heir = Process(root)
    heir.look()
    assert heir.messages() == [["a"]]
    lock = heir.outbox.directory / f"{owner.ids.owner}.lock"
    made: list[int] = []

    def at_the_last_moment(real: Callable[..., None]) -> Callable[..., None]:
        def take_away(name: str, *args: Any, **more: Any) -> None:
            if name == lock.name and not made:
                new = lock.with_suffix(".new")
                new.touch(0o600)
                made.append(new.stat().st_ino)
                new.replace(lock)
            real(name, *args, **more)

        return take_away

    with monkeypatch.context() as patch:
        for each in ("unlink", "rename"):
            patch.setattr(os, each, at_the_last_moment(getattr(os, each)))
        heir.outbox.close()
    assert [lock.stat().st_ino] == made
    assert sorted(path.suffix for path in heir.outbox.directory.iterdir() if path.is_file()) == [".lock"]


def test_an_exception_while_the_lock_is_made_leaves_it_free(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(root)

    def interrupted(source: str, target: str, **directories: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.write_lines("a")
    process.write_lines("b")
    assert other_process(root, "print(other.messages())") == "[]"


def test_a_look_while_our_own_lock_is_made_does_not_take_ourselves_for_dead(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener makes the lock when it keeps the first batch; the sender looks around in its own thread."""
    process = Process(root)
    process.put("first")
    process.outbox.close()
    rename = os.rename

    def renamed(old: str, new: str, **directories: int) -> None:
        rename(old, new, **directories)
        if Path(new).suffix == ".lock":
            process.look()

    monkeypatch.setattr(os, "rename", renamed)
    process.outbox._owners._held.clear()
    process.put("second")
    assert process.messages() == [["first"], ["second"]]
    assert process.dropped == {}


@pytest.mark.parametrize("renew", ["a batch", "a look"])
def test_a_lock_that_was_lost_because_the_application_copied_its_spool_is_taken_again(root: Path, renew: str) -> None:
    """Whoever closes a descriptor of the lock file frees the lock of the process."""
    process = Process(root)
    process.put("mine")
    shutil.copytree(root, root.parent / "copy")
    if renew == "a batch":
        process.put("more")
    else:
        process.look()
    assert other_process(root, "print(other.messages())") == "[]"


def test_a_lock_that_another_process_took_meanwhile_is_taken_back_with_the_next_batch(root: Path) -> None:
    process = Process(root)
    process.put("one")
    shutil.copytree(root, root.parent / "copy")
    program = f"""
import sys
from pathlib import Path
from tests.delivery.spool.processes import Process
other = Process(Path({str(root)!r}))
other.look()
print(len(other.outbox), flush=True)
sys.stdin.read(1)
other.look()
print(len(other.outbox), other.messages(), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert process.put("two").body is None
        out, _ = other.communicate("x")
    assert out == "0 []\n"
    assert process.messages() == [["one"], ["two"]]


def test_an_exception_while_a_lock_is_released_leaves_no_descriptor_open(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As out of a signal handler, at the end of the process."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    process = Process(root)
    process.put("x")
    process.outbox.remove(process.outbox.next())  # type: ignore[arg-type]
    held = process.outbox._owners._held[process.ids.owner]
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", interrupt)
        with pytest.raises(KeyboardInterrupt):
            process.outbox.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)
    assert not owners.is_alive(process.outbox.directory / f"{process.ids.owner}.lock")
