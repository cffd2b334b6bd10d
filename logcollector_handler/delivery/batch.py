"""The batch: a finished body with the key under which it is posted.

A batch never changes: a retry repeats the byte-identical body under the same key. How its delivery goes is kept
elsewhere: `outbox` knows where it waits, `suspects` what has happened to it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from logcollector_handler.wire.compression import compress, decompress, is_worth_compressing
from logcollector_handler.wire.format import Format, Run

#: Bytes of memory that a batch takes beside its body, at most: itself, its id, its places in the outbox.
_OVERHEAD: Final = 1024


class Batch(Struct, frozen=True, eq=False):
    """Encoded entries under one idempotency key."""

    id: str
    #: As it is posted: gzip if `compressed`. None while only a file holds it; `Outbox.begin` and `load` read that.
    body: bytes | None
    compressed: bool
    #: Size of the body as it is posted, in bytes.
    size: int
    #: Size of the body before compression, in bytes.
    encoded_bytes: int
    #: Records in it: what the ledger counts.
    count: int
    #: Entries in it: one more than records if the first is a notice of earlier losses.
    entries: int
    #: The losses that its first entry reports to the server, by reason.
    losses: Mapping[str, int]
    #: How many records had left the queue before this batch's first did.
    ordinal: int
    #: Another process left it behind. The ledger counts such batches apart.
    adopted: bool = False
    #: An earlier process lost an answer: the server may have stored it. Its halves would be stored a second time.
    answer_lost: bool = False

    @property
    def memory_bytes(self) -> int:
        """What it takes of the memory while its body is there, in bytes."""
        return self.size + _OVERHEAD

    def runs(self, wire: Format) -> list[Run]:
        """Its encoded entries, one a run. Raises ValueError or zlib.error if the body is not of this format."""
        assert self.body is not None  # noqa: S101 - only a loaded batch is taken apart
        return wire.split(decompress(self.body) if self.compressed else self.body)

    def halves(self, wire: Format) -> tuple[Batch, Batch]:
        """Its two halves, as `<id>.0` and `<id>.1`. It must have its body, with at least two entries."""
        runs = self.runs(wire)
        middle = len(runs) // 2
        first = self._part("0", runs[:middle], wire, self.compressed, self.losses)
        return first, self._part("1", runs[middle:], wire, self.compressed, {})

    def uncompressed(self, wire: Format) -> Batch:
        """The same entries uncompressed, as `<id>.0`: another body needs another id, and a retry the same id again.

        A process that finds both after a crash sends the parent, because only `.0` and `.1` together replace it.
        """
        return self._part("0", self.runs(wire), wire, False, self.losses)

    def _part(
        self, name: str, runs: Sequence[Run], wire: Format, compressing: bool, losses: Mapping[str, int]
    ) -> Batch:
        plain = wire.join(runs)
        return make_batch(
            f"{self.id}.{name}",
            plain,
            len(runs),
            compressed=compressing and is_worth_compressing(len(runs), len(plain)),
            ordinal=self.ordinal,
            losses=losses,
            adopted=self.adopted,
        )


def make_batch(
    batch_id: str,
    plain: bytes,
    entries: int,
    *,
    compressed: bool,
    ordinal: int,
    losses: Mapping[str, int] = MappingProxyType({}),
    adopted: bool = False,
) -> Batch:
    """A batch of the body `plain`, which holds `entries` entries; with losses, the first is the notice of them."""
    body = compress(plain) if compressed else plain
    return Batch(
        id=batch_id,
        body=body,
        compressed=compressed,
        size=len(body),
        encoded_bytes=len(plain),
        count=entries - bool(losses),
        entries=entries,
        losses=losses,
        ordinal=ordinal,
        adopted=adopted,
    )


class BatchIds:
    """Ids that are drawn once and never again, and that sort in the order in which they were drawn here.

    They begin with the time at which this object was made, not that of the draw: so the order survives a clock that is
    set back. Each ends in random bytes of its own, because the memory of a process can be copied unseen: two virtual
    machines that start from one snapshot go on with the same owner and the same number.
    """

    def __init__(self, now: float) -> None:
        #: What all of these ids begin with.
        self.owner: str = f"{int(now * 1000):012x}-{os.urandom(8).hex()}"
        self._numbers = itertools.count(1)

    def draw(self) -> str:
        """The next id."""
        return f"{self.owner}-{next(self._numbers):08x}{os.urandom(8).hex()}"
