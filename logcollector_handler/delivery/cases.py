"""What is remembered of a batch that failed, and what a failure leads to: the data that `suspects` works with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from .batch import Batch


class Ruling(NamedTuple):
    """What the sender is to do after a request, beside settling a batch that was delivered."""

    #: Seconds for which nothing is sent.
    rest: float = 0.0
    #: The server asked for this rest, or nothing but a person can shorten it: a flush does not.
    firm: bool = False
    #: Batches to split, because the server refused them or only fails on them.
    split: Sequence[Batch] = ()
    #: Lone records to bury, and why.
    bury: Sequence[tuple[Batch, str]] = ()
    #: The settings are wrong, here or at the server; people must be told.
    misconfigured: bool = False


class Case(Struct, eq=False):
    """What is remembered of one batch."""

    #: Without its body: the outbox knows it by its id, and may drop it meanwhile.
    batch: Batch
    #: Answers of 500 and the like, in number.
    failures: int = 0
    #: The number of the request that got the last of them; 0 for none.
    failed_at: int = 0
    #: The request right before that one succeeded.
    witnessed: bool = False
    #: Consecutive pairs of successes between which only batches failed that were set aside before, this one included.
    signs: int = 0
    #: It was cut from a batch that was blamed.
    of_suspect: bool = False
    #: The server may have stored it under its id. Its halves, which have other ids, would be stored again.
    answer_lost: bool = False
    #: Monotonic seconds before which it is not tried while it is set aside.
    not_before: float = 0.0
    #: What the server said when it refused this lone record.
    refusal: str = ""
    #: How often it was postponed: there was no room for its successors, or it does not fit the time and has no parts.
    postponed: int = 0

    def __post_init__(self) -> None:
        self.batch = replace(self.batch, body=None)
