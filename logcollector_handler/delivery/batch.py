"""The batch: a finished body with the key under which it is posted.

A batch never changes: a retry repeats the byte-identical body under the same key. How its delivery goes is kept
elsewhere: where it waits by the outbox, what speaks against it by the sender.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from logcollector_handler.wire.compression import COMPRESS_FROM, compress, decompress
from logcollector_handler.wire.format import Format, Run


@dataclass(frozen=True, eq=False)
class Batch:
    """Encoded entries under one idempotency key."""

    id: str
    #: As it is posted: gzip if `compressed`. None where only a file holds it, which `Outbox.begin` and `load` read.
    body: bytes | None
    compressed: bool
    #: Size of the body as it is posted, in bytes.
    size: int
    #: Size of the body before compression, in bytes.
    encoded_bytes: int
    #: Records in it: what the ledger counts.
    count: int
    #: Entries in it: one more than records when the first is a notice of earlier losses.
    entries: int
    #: The losses that its first entry tells the server of, by reason.
    losses: Mapping[str, int]
    #: How many records had left the queue before its first.
    ordinal: int
    #: Another process left it behind; the ledger counts it apart.
    adopted: bool = False

    def runs(self, wire: Format) -> list[Run]:
        """Its encoded entries, one a run. Raises ValueError or zlib.error when the body is none of this format."""
        assert self.body is not None  # noqa: S101 - only a loaded batch is taken apart
        return wire.split(decompress(self.body) if self.compressed else self.body)

    def halves(self, wire: Format) -> tuple[Batch, Batch]:
        """Its two halves, as `<id>.0` and `<id>.1`. It must hold two entries or more, and its body."""
        runs = self.runs(wire)
        middle = len(runs) // 2
        first = self._part("0", runs[:middle], wire, self.compressed, self.losses)
        return first, self._part("1", runs[middle:], wire, self.compressed, {})

    def uncompressed(self, wire: Format) -> Batch:
        """The same entries in a plain body, as `<id>.0`: another body needs another id, the same one each time.

        Without a sibling it does not count while its parent is there: who finds both after a crash sends the parent.
        """
        return self._part("0", self.runs(wire), wire, False, self.losses)

    def _part(
        self, name: str, runs: Sequence[Run], wire: Format, compressing: bool, losses: Mapping[str, int]
    ) -> Batch:
        compressed = compressing and len(runs) >= COMPRESS_FROM
        return make_batch(
            f"{self.id}.{name}",
            wire.join(runs),
            len(runs),
            compressed=compressed,
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
    """A batch with an uncompressed body of that many entries. With losses the first entry is the notice of these."""
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
    """Ids that no other process draws, and that sort in the order in which this process drew them.

    The time in front is that of the first draw, so a clock that is set back does not turn the order.
    """

    def __init__(self, now: float) -> None:
        #: What all of them begin with.
        self.owner = f"{int(now * 1000):012x}-{os.urandom(8).hex()}"
        self._numbers = itertools.count(1)

    def draw(self) -> str:
        """The next id."""
        return f"{self.owner}-{next(self._numbers):08x}"
