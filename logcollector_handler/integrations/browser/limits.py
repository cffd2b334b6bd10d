"""How much browsers may send: the limits, and who has used up his share. Pure, but for a lock."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from ipaddress import IPv6Address, ip_address
from typing import Final

#: Addresses that are remembered. One that is forgotten has its whole share again; the share of all still bounds it.
ADDRESSES: Final = 10_000
#: Bytes, unpacked, that count as one entry: a post of few large entries uses up as much as one of many small ones.
ENTRY_BYTES: Final = 1024
#: The largest limit.
_LARGEST: Final = 10**15
#: Seconds after which a client is asked to come again at the latest, however slowly its share grows.
_LONGEST_WAIT: Final = 3600


@dataclass(frozen=True)
class Limits:
    """What browsers may send. A larger post is answered 413, one that comes too early 429 with `Retry-After`.

    A share is a number of entries, and grows again with time. By default all browsers together cannot fill the queue of
    a handler, which the records of the application need.
    """

    #: Bytes of one body as received (compressed).
    body_bytes: int = 1024 * 1024
    #: Bytes of one body after decompression.
    decompressed_bytes: int = 4 * 1024 * 1024
    #: Bytes of all bodies in memory together, as received. Beyond this, the body that began to arrive first is given up
    #: and answered 503.
    held_bytes: int = 64 * 1024 * 1024
    #: Entries in one body.
    batch_length: int = 1000
    #: Entries that one client address may send at once, and a second afterwards.
    client_burst: float = 3000
    client_rate: float = 100
    #: The same for all clients together.
    burst: float = 6000
    rate: float = 1000

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that is not a number of its kind, or that would refuse every post."""
        for field in fields(self):
            value = getattr(self, field.name)
            kind, allowed = (int, "a whole number") if field.type == "int" else ((int, float), "a number")
            is_rate = field.name.endswith("rate")
            if not isinstance(value, kind) or not (0 if is_rate else 1) <= value <= _LARGEST or value == 0:
                least = "over 0" if is_rate else "from 1 on"
                raise ValueError(f"{field.name} of Limits is {value!r}; allowed: {allowed} {least}, up to {_LARGEST}")


class Shares:
    """What each client address, and all together, may still send.

    A post is admitted while there is anything left, because only its body tells what it has: it may use more than that,
    and what is owed must grow again first.

    Args:
        limits: the sizes of the shares.
        monotonic: the time in seconds.
    """

    def __init__(self, limits: Limits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._all = _Share(limits.burst, limits.rate, monotonic())
        #: By address; the one that was used last comes last.
        self._clients: OrderedDict[str, _Share] = OrderedDict()

    def wait(self, client: str) -> int | None:
        """None if a post of the client is admitted, else the seconds until it will be."""
        return self._take(client, 0, only_if_admitted=True)

    def admit(self, client: str, entries: int, size: int) -> int | None:
        """As `wait`; if it is admitted, take its entries, with `size` bytes in all, from the shares.

        Both at once: of many posts that come together, one may use more than there is left, and not each of them.
        """
        return self._take(client, max(1, entries, size // ENTRY_BYTES), only_if_admitted=True)

    def use(self, client: str, entries: int, size: int) -> None:
        """Take the entries of a post from the shares, admitted or not; at least one, whatever it was."""
        self._take(client, max(1, entries, size // ENTRY_BYTES), only_if_admitted=False)

    def _take(self, client: str, used: int, *, only_if_admitted: bool) -> int | None:
        with self._lock:
            now = self._monotonic()
            shares = (self._all, self._of(client, now))
            wait = max(share.wait(now) for share in shares)
            if wait > 0 and only_if_admitted:
                return math.ceil(min(wait, _LONGEST_WAIT))
            for share in shares:
                share.left -= used
            return None

    def _of(self, client: str, now: float) -> _Share:
        key = _network(client)
        share = self._clients.get(key)
        if share is None:
            share = self._clients[key] = _Share(self._limits.client_burst, self._limits.client_rate, now)
            if len(self._clients) > ADDRESSES:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return share


class _Share:
    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most = most
        self._rate = rate
        self._seen = now
        self.left = most

    def wait(self, now: float) -> float:
        """Seconds until there is something left: 0 or less if there is."""
        self.grow(now)
        return (1 - self.left) / self._rate

    def grow(self, now: float) -> None:
        self.left = min(self._most, self.left + (now - self._seen) * self._rate)
        self._seen = now


def _network(client: str) -> str:
    """The address, or of an IPv6 address its first 64 bits: whoever has one of those usually has all."""
    try:
        address = ip_address(client)
    except ValueError:
        return client[:64]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(int(address) >> 64)
    return client
