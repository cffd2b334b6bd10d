"""Names of hosts to addresses, within the time of a request and in the order in which they are worth a try."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the first look-up of a name imports it, and a fork may come in the middle of that
import socket
import sys
import threading
from collections.abc import Callable

import httpcore

from .pipes import broken_pipes_raise


class Resolver:
    """Looks names up, and remembers which address of each took the last connection."""

    def __init__(self) -> None:
        # The look-up that was begun last. Only one whose thread was started stands here.
        self._look_up: _LookUp | None = None
        # The addresses that a name had when it was last looked up.
        self._known: dict[tuple[str, int], list[str]] = {}
        # The address of each that took the last connection.
        self._good: dict[tuple[str, int], str] = {}

    def addresses(self, host: str, port: int, left: Callable[[], float]) -> list[str]:
        """The addresses of a host, first the one that took the last connection.

        Args:
            host: a name or an address, as it stands in a URL.
            port: where the connection will go.
            left: the seconds that are left; raises when there are none.

        Raises:
            httpcore.ConnectError: the name was not found.
            httpcore.TimeoutException: the answer did not come in time.
            UnicodeError: it cannot be a name.
        """
        host = plain_host(host)
        if _is_address(host):
            return [host]
        good = self._good.get((host, port))
        return sorted(self._looked_up(host, port, left), key=lambda address: address != good)

    def took_connection(self, host: str, port: int, address: str) -> None:
        """That address of the host is the first to be tried from now on."""
        self._good[plain_host(host), port] = address

    def _looked_up(self, host: str, port: int, left: Callable[[], float]) -> list[str]:
        look_up = self._look_up
        if look_up is None or look_up.of != (host, port) or look_up.done.is_set():
            look_up = _LookUp(host, port)
            try:
                look_up.start()
                self._look_up = look_up
            except RuntimeError:  # The interpreter is going down, or the system has no more threads.
                if known := self._known.get((host, port)):
                    return known
                look_up.run()
        # A look-up that an earlier request began, and that has no answer yet, is waited for and not repeated.
        look_up.done.wait(left())
        if isinstance(look_up.trouble, UnicodeError):
            raise look_up.trouble
        if look_up.trouble is not None:
            raise httpcore.ConnectError(f"the name {host} was not found: {look_up.trouble}") from look_up.trouble
        if not look_up.found:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
        self._known[host, port] = look_up.found
        return look_up.found


class _LookUp(threading.Thread):
    """One question to the system's resolver, in a thread of its own: it takes no time-out, and may take any time."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="logcollector-resolver", daemon=True)
        self.of = (host, port)
        self.found: list[str] = []
        self.trouble: Exception | None = None
        self.done = threading.Event()

    def start(self) -> None:
        if sys.is_finalizing():
            # Before Python 3.12 a thread that is started now never runs, and `start` would wait for it for ever.
            raise RuntimeError("the interpreter is going down")
        super().start()

    def run(self) -> None:
        try:
            with broken_pipes_raise():
                answers = socket.getaddrinfo(*self.of, type=socket.SOCK_STREAM)
            self.found = list(dict.fromkeys(address_of(each[4]) for each in answers))
        except (OSError, UnicodeError) as error:
            self.trouble = error
        finally:
            self.done.set()


def plain_host(host: str) -> str:
    """The host of a URL as the system takes it: in a URL the scope of `fe80::1%eth0` is written `%25eth0`."""
    address, percent, scope = host.partition("%")
    return address + percent + (scope.removeprefix("25") or scope)


def without_scope(host: str) -> str:
    """The host without the scope of its address, which has a meaning on this machine alone."""
    return host.partition("%")[0]


def address_of(found: tuple[object, ...]) -> str:
    """The address that `getaddrinfo` found, with its scope: link-local addresses are of one interface only."""
    address = str(found[0])
    scope = found[3] if len(found) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, without_scope(host))
            return True
    return False
