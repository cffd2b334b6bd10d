"""`logcollector forward`: sends what other processes leave in a spool directory, until it is told to end.

It is the sender of handlers with `deliver: false`, in a process of its own: a sidecar, or a unit of systemd. It looks
at the directory all the time, and sends what lies there for its server just as a handler sends what a dead process
left. Several on one directory share the work; one that dies is replaced by the next.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

from logcollector_handler.delivery.carrier import step
from logcollector_handler.delivery.clock import SystemClock, Wakeup
from logcollector_handler.delivery.pipeline import Pipeline, connect, entry_builder
from logcollector_handler.delivery.process import own_work
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.delivery.spool import SpoolOutbox, destination, is_of_one_server
from logcollector_handler.settings import SettingError, Settings, load

#: Seconds between two looks at the directory.
_LOOK_EVERY: Final = 0.5
#: Seconds between two looks for batches of other servers.
_LOOK_FOR_OTHERS_EVERY: Final = 10.0
#: Seconds within which a signal is noticed that did not wake the main thread.
_NOTICED_WITHIN: Final = 1.0


def run(options: argparse.Namespace) -> int:
    """Send until SIGTERM or SIGINT comes, and then what is left, for at most `shutdown_timeout` seconds.

    Returns:
        0 after such a signal, or 128 + signal as process 1, as for every process with drained signals; 2 if the
        settings are wrong.
    """
    try:
        settings = load(
            {
                "spool_dir": str(options.directory),
                "server_url": options.server_url,
                "wire": options.wire,
                "api_key": options.api_key,
                "deliver": True,
            }
        )
    except SettingError as error:
        print(f"logcollector forward: {error}", file=sys.stderr)
        return 2
    forwarder = Forwarder(settings)
    signals = Signals()
    _tell(f"what lies in {options.directory} is sent to {forwarder.server} (wire {settings.wire})")
    thread = threading.Thread(target=forwarder.run, name="logcollector-sender", daemon=True)
    thread.start()
    number = signals.wait()
    # A request may be under way. It is not waited for any longer than this.
    forwarder.end(settings.shutdown_timeout)
    thread.join(settings.shutdown_timeout)
    _tell(forwarder.account())
    return 128 + number if os.getpid() == 1 else 0


class Signals:
    """SIGTERM and SIGINT, but those that are ignored: the first ends the command, the second ends it at once."""

    def __init__(self) -> None:
        self._came = Wakeup()
        self._number = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def wait(self) -> int:
        """Wait for the first. Returns its number."""
        while not self._number:
            # Not for ever: a signal that comes just before the thread sleeps, or to another thread, does not wake it.
            self._came.wait(_NOTICED_WITHIN)
        return self._number

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._number:
            os._exit(128 + number)
        self._number = number
        self._came.set()


class Forwarder:
    """Sends what lies in the spool. `run` does the work; the other methods may be called from another thread."""

    def __init__(self, settings: Settings) -> None:
        assert settings.spool_dir is not None  # noqa: S101 - it is an argument of the command
        self.server: str = settings.mask(settings.server_url)
        self._root = Path(settings.spool_dir)
        self._place = destination(settings.server_url, settings.wire)
        self._clock = SystemClock()
        self._reporter = Reporter()
        self._pipeline = Pipeline(settings, entry_builder(settings), self._clock, connect, _LOOK_EVERY)
        outbox = self._pipeline.outbox
        assert isinstance(outbox, SpoolOutbox)  # noqa: S101 - there is a spool_dir, and it delivers
        self._outbox = outbox
        # Monotonic seconds at which the end is over. None: it has not begun.
        self._end_at: float | None = None
        # Batches that were left at the end, which others may send from then on. None: it is not over.
        self._left: int | None = None
        # Directories of other servers of which was told, and when they are looked for next, in monotonic seconds.
        self._told: set[str] = set()
        self._others_at = self._clock.monotonic()

    def run(self) -> None:
        """Send until `end`, and then what is left."""
        with own_work():
            while self._end_at is None:
                self._tell_of_others()
                delay = step(self._pipeline.sender, self._reporter)
                if delay != 0.0 and self._end_at is None:
                    self._pipeline.sender.wait(_LOOK_EVERY if delay is None else min(delay, _LOOK_EVERY))
            self._drain(self._end_at)
            self._left = len(self._outbox)
            self._pipeline.sender.close()
            self._outbox.close()

    def end(self, seconds: float) -> None:
        """Send what lies there now, for at most that long."""
        self._end_at = self._clock.monotonic() + seconds
        self._pipeline.sender.hasten(self._end_at)

    def account(self) -> str:
        """What was done so far, as a sentence."""
        told = self._pipeline.stats().adopted
        left = len(self._outbox) if self._left is None else self._left
        return (
            f"{told.get('delivered', 0):,} records delivered, {told.get('dead_lettered', 0):,} refused, "
            f"{told.get('dropped', 0):,} damaged; {left} batches left"
        )

    def _drain(self, end: float) -> None:
        sender = self._pipeline.sender
        # What was handed over just now is found by one more look.
        self._outbox.look_at_once()
        while (left := end - self._clock.monotonic()) > 0 and not sender.is_hopeless:
            delay = step(sender, self._reporter)
            if delay != 0.0:
                if not len(self._outbox):
                    return
                sender.wait(left if delay is None else min(delay, left))

    def _tell_of_others(self) -> None:
        """Say once of each other server for which batches lie here that they are left."""
        now = self._clock.monotonic()
        if now < self._others_at:
            return
        self._others_at = now + _LOOK_FOR_OTHERS_EVERY
        try:
            if is_of_one_server(self._root) and str(self._root) not in self._told:
                self._told.add(str(self._root))
                _tell(f"{self._root} is the directory of one server; name the one above it, which is the spool_dir")
            for path in self._root.iterdir():
                if path.name in {self._place, *self._told} or not path.is_dir() or not is_of_one_server(path):
                    continue
                self._told.add(path.name)
                _tell(f"{path.name} in {self._root} has batches for another server or wire; they are left there")
        except OSError:
            return  # It is not there yet, or cannot be read now.


def _tell(what: str) -> None:
    print(f"logcollector forward: {what}", file=sys.stderr)
