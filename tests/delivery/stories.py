"""Stories for the tests of the evidence.

A story is a list of requests. Each is the id of a batch and how its request ended: `+` delivered, `-` the server
failed, `~` the server is away, `?` the answer was lost, `!` a configuration error, `x` refused, `e` the server takes no
compressed bodies. An id in capitals is a batch of many records, the others are lone records.
"""

from __future__ import annotations

from typing import Final

from logcollector_handler.delivery.answers import Verdict
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.cases import Ruling
from logcollector_handler.delivery.suspects import Suspects

VERDICTS: Final = {
    "+": Verdict.DELIVERED,
    "-": Verdict.SERVER_ERROR,
    "~": Verdict.RETRY,
    "?": Verdict.RETRY,
    "!": Verdict.CONFIGURATION,
    "x": Verdict.REFUSED,
    "e": Verdict.UNSUPPORTED_ENCODING,
}


def batch(batch_id: str, entries: int = 1) -> Batch:
    return Batch(batch_id, b"body", False, 4, 4, entries, entries, {}, 0)


def named(batch_id: str) -> Batch:
    return batch(batch_id, 8 if batch_id.isupper() else 1)


def end(suspects: Suspects, request: str, now: float = 0.0) -> Ruling:
    batch_id, how = request[:-1], request[-1]
    return suspects.ended(named(batch_id), VERDICTS[how], now=now, chance=0.5, detail=how, lost=how == "?")


def tell(suspects: Suspects, story: str) -> Ruling:
    """Tell all of a story; the ruling after its last request."""
    return [end(suspects, request) for request in story.split()][-1]


def blamed(ruling: Ruling) -> str:
    return " ".join([*(each.id for each in ruling.split), *(each.id for each, _ in ruling.bury)])
