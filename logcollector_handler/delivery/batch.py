"""The batch: a finished body with the key under which it is posted, for as long as it lives."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from logcollector_handler.entry.model import COMPRESS_FROM
from logcollector_handler.wire.collector import compress, decompress, join_lines, split_body


@dataclass(eq=False)
class Batch:
    """Encoded entries under one idempotency key.

    The first fields never change: a retry repeats the byte-identical body under the same key. The rest is
    the sender's memory of how it went; the sender's thread alone touches it.
    """

    id: str
    #: As it is posted: compressed, if `compressed`. None when it lies in a file of that name.
    body: bytes | None
    compressed: bool
    #: Size of the body as it is posted.
    size: int
    #: Size of the body before compression.
    encoded_bytes: int
    #: Records in it; what the ledger counts.
    count: int
    #: Entries in it; one more than records when the first is a notice of earlier losses.
    entries: int
    #: The losses that its first entry tells of.
    losses: Mapping[str, int]
    #: How many records had left the queue before its first.
    ordinal: int
    #: It was left behind by another process; what is counted of it is counted apart.
    adopted: bool = False
    #: CRC-32 of the body that this process wrote to the file, or found in it.
    checksum: int = 0

    # How it went so far.
    in_flight: bool = False
    #: An attempt ended without an answer after the request may have arrived: the server may have it.
    answer_lost: bool = False
    #: Answers of 500 and the like, in number.
    failures: int = 0
    #: The request that got the last of them; 0 for none.
    failed_at: int = 0
    #: The request right before that one succeeded.
    witnessed: bool = False
    #: Between so many successes in a row none but batches that were set aside failed, this one among them.
    signs: int = 0
    #: It was cut from a batch that failed while the server worked.
    of_suspect: bool = False
    #: Passed over: it goes when it is due, while the batches behind it go on.
    aside: bool = False
    #: Monotonic seconds before which a batch that is set aside is not tried.
    not_before: float = 0.0
    #: It stands alone and the server refused it, saying this.
    refusal: str = ""
    #: It had its one attempt at exit.
    tried_at_exit: bool = False

    def lines(self, body: bytes) -> list[bytes]:
        """The encoded entries of its body."""
        return split_body(decompress(body) if self.compressed else body)

    def children(self, body: bytes) -> tuple[Batch, Batch]:
        """The two halves, as `<id>.0` and `<id>.1`. The batch must hold two entries or more."""
        lines = self.lines(body)
        middle = len(lines) // 2
        first = self._child("0", lines[:middle], self.compressed, self.losses)
        return first, self._child("1", lines[middle:], self.compressed, {})

    def uncompressed(self, body: bytes) -> Batch:
        """The same entries in a plain body, as `<id>.0`: another body, hence another id, and the same one in each try.

        Without a sibling it does not count while its parent is there: who finds both after a crash sends the parent.
        """
        return self._child("0", self.lines(body), False, self.losses)

    def _child(self, name: str, lines: list[bytes], compressing: bool, losses: Mapping[str, int]) -> Batch:
        compressed = compressing and len(lines) >= COMPRESS_FROM
        made = make_batch(f"{self.id}.{name}", join_lines(lines), len(lines), compressed, self.ordinal, losses)
        made.adopted = self.adopted
        return made


def make_batch(
    batch_id: str,
    plain: bytes,
    entries: int,
    compressed: bool,
    ordinal: int,
    losses: Mapping[str, int] = MappingProxyType({}),
) -> Batch:
    """A batch of so many entries. With losses the first of them is the notice of these, and is no record."""
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
