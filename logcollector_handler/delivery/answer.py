"""How a request ended, and the seam behind which the network lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """How a request ended.

    Attributes:
        status: the HTTP status of a complete answer; None if none came.
        arrived: the server may have got the whole request. Without a status that means that the answer
            was lost, perhaps after the batch was stored.
        detail: what happened, in words for people, without secrets.
        count: the number of entries that the server says it took, if it says so.
        retry_after: the header of that name.
        date: the header of that name.
        foreign: a 2xx that no log collection server gives: an HTML page.
        unusable: no request could be made at all, because a setting is wrong.
    """

    status: int | None = None
    arrived: bool = False
    detail: str = ""
    count: int | None = None
    retry_after: str | None = None
    date: str | None = None
    foreign: bool = False
    unusable: bool = False


class Transport(Protocol):
    """What the sender asks of the network."""

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        """Post a batch and wait for the answer, that many seconds at most from start to end. Never raises."""

    def close(self) -> None:
        """Close the connection. It opens again with the next request."""

    def abandon(self) -> None:
        """In a forked child: close the inherited descriptor, and touch nothing else."""
