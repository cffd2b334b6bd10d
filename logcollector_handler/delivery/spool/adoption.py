"""Adoption: batches that dead processes left behind, made ready to be sent by this one.

Only what must be known now is looked at: a batch's file is read when it is sent.

A dead process writes no more, but under a name that nobody locks to write (see `handover`) batches go on coming. So
each look adopts what is new of all owners that are locked by us, and one batch that waits for long holds up no other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from types import MappingProxyType
from typing import NamedTuple

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.report import Reporter

from .bodies import NOBODY_WAITS, Bodies
from .directory import NotABodyError, charge
from .files import Left, SpoolFiles, lock_name, lost_name, open_name, owner_of
from .owners import Owners
from .shelf import Kept
from .usage import DEAD


class Found(NamedTuple):
    """What a look at the directory found."""

    #: Batches of dead processes that were not adopted before, in the order in which they are to be sent.
    adopted: list[Kept]
    #: Records in them that are damaged.
    damaged: int
    #: What the disk is charged for the files of living owners that publish no number of their own, by owner.
    silent: dict[str, int]
    #: There may be more dead owners.
    more: bool


def look_around(
    files: SpoolFiles, bodies: Bodies, owners: Owners, reporter: Reporter, now: float, shelved: Collection[Kept]
) -> Found:
    """Adopt what dead processes left.

    Args:
        now: in Unix seconds.
        shelved: what was adopted before, and is not settled yet.

    Raises:
        OSError: the directory cannot be read.
    """
    told = owners.usage.read()
    found, dead_owners, more = owners.take_over()
    before: dict[str, list[Kept]] = {}
    for each in shelved:
        before.setdefault(owner_of(each.batch.id), []).append(each)
    adopted: list[Kept] = []
    damaged = 0
    for owner in dead_owners:
        here = before.get(owner, [])
        left = _new(found.pop(owner, Left()), files, bodies, here)
        kept, lines = _adopt(left, files, bodies, reporter, is_full=any(not each.in_file for each in here))
        adopted += kept
        damaged += lines
    owners.clear_new_locks(now)
    for owner in told.keys() - found.keys() - owners.held - {DEAD}:
        owners.usage.forget(owner)
    silent = {
        owner: files.charged([lock_name(owner), *files.names_of(left)])
        for owner, left in found.items()
        if owner not in told and owner not in owners.held
    }
    with contextlib.suppress(OSError):
        if (dead := files.charged_for_dead(files.buried())) != told.get(DEAD, 0):
            owners.usage.write(DEAD, dead)
        if not dead:
            owners.usage.forget(DEAD)
    return Found(adopted, damaged, silent, more)


def _new(left: Left, files: SpoolFiles, bodies: Bodies, shelved: Collection[Kept]) -> Left:
    """What of it is to be adopted: not what is on the shelf, and not what is settled and could only not be removed.

    Nor what was cut from the same batch as something on the shelf: that would be sent under two ids.
    """
    roots = {_root(kept.batch.id) for kept in shelved}
    return Left(
        bodies={
            batch_id: compressed
            for batch_id, compressed in left.bodies.items()
            if _root(batch_id) not in roots and not bodies.is_done_with(files.body(batch_id, compressed))
        },
        opened=[each for each in left.opened if each not in roots and not bodies.is_done_with(open_name(each))],
        lost={each for each in left.lost if _root(each) not in roots},
        temporaries=left.temporaries,
    )


def _root(batch_id: str) -> str:
    """The id of the batch from which this one was cut, or its own."""
    return batch_id.partition(".")[0]


def _adopt(
    left: Left, files: SpoolFiles, bodies: Bodies, reporter: Reporter, *, is_full: bool
) -> tuple[list[Kept], int]:
    """Make what one owner left ready to be sent. Returns its batches, and the number of damaged records.

    `is_full`: when the last look adopted some of it the disk was full, and one batch waits in memory since.
    """
    damaged = 0
    in_memory: list[Kept] = []
    # Batches whose open files stay.
    staying: set[str] = set()
    has_room = True
    for temporary in left.temporaries:
        bodies.remove(temporary)
    for batch_id in sorted(left.opened):
        name = open_name(batch_id)
        try:
            # If both files are there, the owner died after it wrote the batch and before it removed the open file.
            if batch_id not in left.bodies:
                if not has_room:
                    # The others wait until the one in memory is sent, which makes room.
                    staying.add(batch_id)
                    continue
                finished = bodies.finish(batch_id, answer_lost=batch_id in left.lost)
                if finished.batch and not finished.batch.in_file:
                    has_room = False
                    staying.add(batch_id)
                    if not is_full:
                        in_memory.append(finished.batch)
                        damaged += finished.damaged
                    continue
                damaged += finished.damaged
                if finished.batch:
                    left.bodies[batch_id] = finished.batch.batch.compressed
        except NotABodyError as error:
            damaged += 1
            reporter.say("damaged", f"{name} cannot be sent ({error.strerror}); it is in dead/")
            with contextlib.suppress(OSError):
                files.bury_damaged(name)
            continue
        except OSError as error:
            path = files.place.path / name
            reporter.say("damaged", f"{path} cannot be taken over now ({error.strerror}); it stays there")
            staying.add(batch_id)
            continue
        bodies.remove(name)
    for batch_id in superseded(left.bodies):
        bodies.remove(files.body(batch_id, left.bodies.pop(batch_id)))
    for batch_id in left.lost - left.bodies.keys() - staying:
        bodies.remove(lost_name(batch_id))
    names = {files.body(batch_id, compressed): batch_id for batch_id, compressed in sorted(left.bodies.items())}
    adopted = []
    for name, status in files.place.status(names).items():
        batch_id = names[name]
        batch = _unread(batch_id, left.bodies[batch_id], status.st_size, batch_id in left.lost)
        adopted.append(Kept(batch, charge=charge(status)))
    return adopted + in_memory, damaged


def superseded(ids: Collection[str]) -> list[str]:
    """Which batches of a dead owner must not be sent, because it died while it replaced a batch by its halves.

    If both halves are there, they are sent and the batch is not. If one is missing, the batch is sent and the other
    half is not.
    """

    def is_replaced(batch_id: str) -> bool:
        return f"{batch_id}.0" in ids and f"{batch_id}.1" in ids

    def is_half_of_a_whole(batch_id: str) -> bool:
        parent = batch_id.rpartition(".")[0]
        return parent in ids and not is_replaced(parent)

    return [batch_id for batch_id in ids if is_replaced(batch_id) or is_half_of_a_whole(batch_id)]


def _unread(batch_id: str, compressed: bool, size: int, answer_lost: bool) -> Batch:
    """An adopted batch. How many records are in it is known only when its file is read."""
    return Batch(
        id=batch_id,
        body=None,
        compressed=compressed,
        size=size,
        encoded_bytes=0,
        count=0,
        entries=0,
        losses=MappingProxyType({}),
        ordinal=NOBODY_WAITS,
        adopted=True,
        answer_lost=answer_lost,
    )
