"""Adoption: batches that dead processes left behind, made ready to be sent by this one."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from types import MappingProxyType
from typing import Final, NamedTuple

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.report import Reporter

from .bodies import Bodies
from .files import BodyFile, Left, SpoolFiles
from .owners import Owners

#: The ordinal of adopted batches: higher than any of our own, so that no flush waits for adopted ones.
_NOBODY_WAITS: Final = 1 << 62


class Found(NamedTuple):
    """What a look at the directory found."""

    #: Batches of dead processes, in the order in which they are to be sent. Their owners are locked by us now.
    adopted: list[Batch]
    #: Bytes of complete batches by owner, for all owners that this look did not take over, ourselves included.
    living: dict[str, int]
    #: Bytes in `dead/`.
    buried: int


def look_around(files: SpoolFiles, bodies: Bodies, owners: Owners, reporter: Reporter, now: float) -> Found:
    """Adopt what dead processes left. `now` is in Unix seconds. Raises OSError if the directory cannot be read."""
    found, taken = owners.take_over()
    adopted: list[Batch] = []
    for owner in taken:
        adopted += _adopt(found.pop(owner, Left()), files, bodies, reporter)
    owners.clear_new_locks(now)
    living = {owner: sum(body.size for body in left.bodies.values()) for owner, left in found.items()}
    buried = 0
    with contextlib.suppress(OSError):
        buried = sum(path.lstat().st_size for path in files.buried())
    return Found(adopted, living, buried)


def _adopt(left: Left, files: SpoolFiles, bodies: Bodies, reporter: Reporter) -> list[Batch]:
    for temporary in left.temporaries:
        bodies.remove(temporary)
    for batch_id in left.opened:
        opened = files.opened(batch_id)
        try:
            # If both files are there, the owner died after it wrote the batch and before it removed the open file.
            if batch_id not in left.bodies and (batch := bodies.finish(batch_id)) is not None:
                left.bodies[batch_id] = BodyFile(batch.size, batch.compressed)
        except OSError as error:
            reporter.say("damaged", f"{opened} cannot be taken over now ({error.strerror}); it stays there")
            continue
        bodies.remove(opened)
    for batch_id in superseded(left.bodies):
        bodies.remove(files.body(batch_id, left.bodies.pop(batch_id).compressed))
    return [_unread(batch_id, file) for batch_id, file in sorted(left.bodies.items())]


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


def _unread(batch_id: str, file: BodyFile) -> Batch:
    """An adopted batch. How many records are in it is known only when its file is read."""
    return Batch(
        id=batch_id,
        body=None,
        compressed=file.compressed,
        size=file.size,
        encoded_bytes=0,
        count=0,
        entries=0,
        losses=MappingProxyType({}),
        ordinal=_NOBODY_WAITS,
        adopted=True,
    )
