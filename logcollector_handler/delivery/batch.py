"""The batch: a finished body with the key under which it is posted, for as long as it lives."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from logcollector_handler.wire.codec import compress, decompress, join_lines, split_body
from logcollector_handler.wire.schema import COMPRESS_FROM


@dataclass(eq=False)
class Batch:
    """Encoded entries under one idempotency key.

    The first fields never change: a retry repeats the byte-identical body under the same key. The rest is
    the sender's memory of how it went; the sender's thread alone touches it.
    """

    id: str
    #: As it is posted: compressed, if `compressed`.
    body: bytes
    compressed: bool
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

    def lines(self) -> list[bytes]:
        """The encoded entries."""
        return split_body(decompress(self.body) if self.compressed else self.body)

    def children(self) -> tuple[Batch, Batch]:
        """The two halves, as `<id>.0` and `<id>.1`. The batch must hold two entries or more."""
        lines = self.lines()
        middle = len(lines) // 2
        compressed = self.compressed and middle >= COMPRESS_FROM
        return (
            make_batch(f"{self.id}.0", lines[:middle], compressed, self.ordinal, self.losses),
            make_batch(f"{self.id}.1", lines[middle:], compressed, self.ordinal),
        )

    def uncompressed(self, new_id: str) -> Batch:
        """The same entries in a plain body; another body, hence another id."""
        return make_batch(new_id, self.lines(), False, self.ordinal, self.losses)


def make_batch(
    batch_id: str,
    lines: list[bytes],
    compressed: bool,
    ordinal: int,
    losses: Mapping[str, int] = MappingProxyType({}),
) -> Batch:
    """A batch of encoded entries. With losses its first entry is the notice of them, and is no record."""
    body = join_lines(lines)
    return Batch(
        id=batch_id,
        body=compress(body) if compressed else body,
        compressed=compressed,
        encoded_bytes=len(body),
        count=len(lines) - bool(losses),
        entries=len(lines),
        losses=losses,
        ordinal=ordinal,
    )


class BatchIds:
    """Ids that no other process draws, and that sort in the order in which this process drew them.

    The time in front is that of the first draw, so a clock that is set back does not turn the order.
    """

    def __init__(self, now: float) -> None:
        self._prefix = f"{int(now * 1000):012x}-{os.urandom(8).hex()}"
        self._numbers = itertools.count(1)

    def draw(self) -> str:
        """The next id."""
        return f"{self._prefix}-{next(self._numbers):08x}"
