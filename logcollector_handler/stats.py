"""The counts that `handler.stats()` returns, and the reasons for losses in words.

Every accepted record is at any time in exactly one state: delivered, dropped (for one reason), dead-lettered, handed
over, pending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

#: The reasons for which a record can be dropped, each with its words for people.
DROP_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "queue_full": "the queue was full",
        "buffer_full": "the buffer of unsent batches was full",
        "spool_full": "the spool was full",
        "spool_damaged": "a file in the spool was damaged or removed",
        "shutdown": "the process ended before all was sent",
        "internal_error": "the handler itself failed",
    }
)
#: The reason of dead-lettered records. They do not count as dropped, but are reported to the server as lost, too.
REFUSED = "refused"
#: The reasons for all losses, each with its words for people.
LOSSES: Mapping[str, str] = MappingProxyType({**DROP_REASONS, REFUSED: "the server refused them"})


class Counts(dict[str, int]):
    """Counts by name, which cannot be changed.

    A dict, because `pickle`, `copy`, `json` and `dataclasses.asdict` do not know other mappings.
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("statistics cannot be changed")

    if not TYPE_CHECKING:  # Type checkers see no more of it than a Mapping, which has none of these.
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Counts], tuple[dict[str, int]]]:
        return Counts, (dict(self),)


@dataclass(frozen=True)
class Stats:
    """Counts of records since this process began to use the handler. A forked child starts at zero.

    `accepted == delivered + sum(dropped.values()) + dead_lettered + handed_over + pending`, exact when no logging call
    is in progress.

    Attributes:
        accepted: records that passed level and filters, including those dropped later.
        delivered: records in batches that the server answered with 2xx.
        dropped: records given up, by reason: `queue_full`, `buffer_full`, `spool_full`, `spool_damaged`,
            `shutdown`, `internal_error`.
        dead_lettered: records that the server refused even when each was sent alone.
        handed_over: with `deliver: false`, records that are in the spool for another process, which sends them.
        pending: records in memory or in the spool that are in none of the states above yet.
        batches: batches delivered.
        requests: requests made, including those that failed.
        encoded_bytes: size of the delivered batches before compression, in bytes.
        sent_bytes: size of the delivered batches as sent, in bytes.
        adopted: records that another process left in the spool and that this one settled, by outcome: `delivered`,
            `dead_lettered`, `dropped`. The counts of records above do not include them.
    """

    accepted: int = 0
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=Counts)
    dead_lettered: int = 0
    handed_over: int = 0
    pending: int = 0
    batches: int = 0
    requests: int = 0
    encoded_bytes: int = 0
    sent_bytes: int = 0
    adopted: Mapping[str, int] = field(default_factory=Counts)
