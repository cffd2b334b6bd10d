"""`logcollector spool`: lists the batches in a spool directory, and sends those that dead processes left."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.pipeline import Pipeline, connect, entry_builder
from logcollector_handler.delivery.spool import Holding, SpoolOutbox, destination, is_of_one_server, survey
from logcollector_handler.settings import SettingError, load


def show(options: argparse.Namespace) -> int:
    """List the batches. Returns 0, also if there are none, and 1 if the directory cannot be read."""
    holdings = _survey(options.directory)
    if holdings is None:
        return 1
    if not holdings:
        print(f"{options.directory} holds no batches{_hint(options.directory)}.")
    for holding in holdings:
        print(_line(holding))
    return 0


def _survey(directory: Path) -> list[Holding] | None:
    """What is in the directory; None if it cannot be read, after saying so."""
    try:
        return survey(directory)
    except OSError as error:
        print(f"logcollector spool: {directory} cannot be read ({error.strerror})", file=sys.stderr)
        return None


def _hint(directory: Path) -> str:
    """What else the directory may be, when it holds no batches."""
    if is_of_one_server(directory):
        return f": it is the directory of one server in {directory.absolute().parent}, which is the one to name"
    return "" if any(directory.iterdir()) else ": it is empty"


def _line(holding: Holding) -> str:
    kind = {
        "alive": "of a living process",
        "dead": "left by a dead process",
        "handed over": "handed over, for logcollector forward",
        "refused": "refused by the server",
    }
    age = max(0.0, time.time() - holding.oldest)
    return (
        f"{holding.destination:<40} {holding.files:>7,} files {holding.size / 1e6:>9.2f} MB  "
        f"oldest {age:>8.0f} s  {kind[holding.kind]}"
    )


def replay(options: argparse.Namespace) -> int:
    """Send the batches of dead processes. Returns 0 if none is left, 1 if some are, 2 if the settings are wrong.

    It also returns 1 if the directory is not one with batches for this server: nothing was sent, and what was to be
    sent lies elsewhere.

    Run by root, it does so as the user whose directory it is: what it writes there must be that user's, who is to read
    it afterwards, and root should not read and write at the word of another user.
    """
    try:
        settings = load(
            {
                "spool_dir": str(options.directory),
                "server_url": options.server_url,
                "wire": options.wire,
                "deliver": True,
            }
        )
    except SettingError as error:
        print(f"logcollector spool replay: {error}", file=sys.stderr)
        return 2
    server, place = settings.mask(settings.server_url), destination(settings.server_url, settings.wire)
    holdings = _survey(options.directory)
    if holdings is None:
        return 1
    waiting = [each for each in holdings if each.kind != "refused"]
    mine = [each for each in waiting if each.destination == place]
    if not (mine or (options.directory / place).is_dir()) or (waiting and not mine):
        print(
            f"logcollector spool replay: {options.directory} holds nothing for {server} with wire {settings.wire}"
            + (". There is:" if holdings else _hint(options.directory) + "."),
            *map(_line, holdings),
            sep="\n",
            file=sys.stderr,
        )
        return 1
    # Made now, because another user may not be able to read what it imports.
    clock = SystemClock()
    transport = connect(settings, clock)
    # It looks around by itself only when it has sent what it found. So it ends although others go on handing over.
    pipeline = Pipeline(settings, entry_builder(settings), clock, lambda *_: transport, math.inf)
    outbox = pipeline.outbox
    assert isinstance(outbox, SpoolOutbox)  # noqa: S101 - there is a spool_dir
    with _as_owner_of(outbox.directory):
        left = _replay(pipeline, outbox, server, options.seconds)
    alive = [each for each in mine if each.kind == "alive"]
    if alive:
        print("Running processes send theirs themselves:", *map(_line, alive), sep="\n")
    return 1 if left else 0


def _replay(pipeline: Pipeline, outbox: SpoolOutbox, server: str, seconds: float) -> int:
    """Send what lies there now, and return how many batches of it are left."""
    began = time.time()
    outbox.look()
    total = len(outbox) + _untaken(outbox, began)
    print(f"{total} batches to send to {server}.", flush=True)
    try:
        _send(pipeline, outbox, began, seconds)
    finally:
        left = len(outbox) + _untaken(outbox, began)
        pipeline.sender.close()
        outbox.close()
    told = pipeline.stats().adopted
    print(
        f"{told.get('delivered', 0):,} records delivered, {told.get('dead_lettered', 0):,} refused, "
        f"{told.get('dropped', 0):,} damaged; {left} batches left."
    )
    return left


def _untaken(outbox: SpoolOutbox, began: float) -> int:
    """How many batches older than `began` lie there that the outbox has not taken over: it locks few owners at a time.

    What others hand over meanwhile does not count, or this would not end while they do.
    """
    try:
        holdings = survey(outbox.directory.parent, outbox.directory.name, began)
    except OSError:
        return 0  # The directory was removed, or cannot be read any more.
    # An owner that the outbox has locked counts as alive.
    return sum(each.files for each in holdings if each.kind in {"dead", "handed over"})


@contextlib.contextmanager
def _as_owner_of(directory: Path) -> Iterator[None]:
    """If this is root, and the directory another user's: act as that user while the block runs."""
    status = directory.lstat()
    if os.geteuid() != 0 or status.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _send(pipeline: Pipeline, outbox: SpoolOutbox, began: float, patience: float) -> None:
    """Send until nothing is left that is older than `began`, or nothing was delivered for `patience` seconds."""
    said = last = time.monotonic()
    delivered = looked = 0
    while len(outbox) or _takes_more(outbox, began):
        delay = pipeline.sender.step()
        now = time.monotonic()
        if (done := pipeline.stats().adopted.get("delivered", 0)) != delivered:
            delivered, last = done, now
        if now - last > patience:
            return
        if now - said >= 1:
            said = now
            print(f"  {delivered:,} records; {len(outbox) + _untaken(outbox, began)} batches left", flush=True)
        if delay is None:
            return
        if delay and looked != delivered:
            # All that are here wait. They need not keep the others from being sent.
            looked = delivered
            _takes_more(outbox, began)
        pipeline.sender.wait(min(delay, 1.0))


def _takes_more(outbox: SpoolOutbox, began: float) -> bool:
    """Take over more of what is to be sent. False if there is none, or none of it can be taken over."""
    if not len(outbox):
        # Unlocks the owners whose batches were sent, so that what they have besides, or have by now, is counted.
        outbox.close()
    before = _untaken(outbox, began)
    if not before:
        return False
    outbox.look_at_once()
    outbox.look()
    return _untaken(outbox, began) < before
